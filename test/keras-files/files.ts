/** What real Keras wrote (make-files.py): each model in its two files, with one question and Keras's answer. */
import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"

export interface KerasModel {
  readonly name: string
  readonly shapes: readonly (readonly number[])[]
  readonly inputs: readonly (readonly number[])[]
  readonly outputs: readonly (readonly number[])[]
  readonly files: readonly {
    readonly format: string
    readonly entrypoint: string
    readonly bytes: Uint8Array<ArrayBuffer>
  }[]
}

interface Written {
  readonly models: Readonly<
    Record<string, Pick<KerasModel, "shapes" | "inputs" | "outputs"> & { readonly h5: string; readonly keras: string }>
  >
}

export function readKerasModels(version: 2 | 3): KerasModel[] {
  const packed = readFileSync(new URL(`keras-${version}.json.gz`, import.meta.url))
  const { models } = JSON.parse(gunzipSync(packed).toString()) as Written
  return Object.entries(models).map(([name, { h5, keras, ...rest }]) => ({
    name,
    ...rest,
    files: [
      { format: "keras-h5", entrypoint: "model.h5", bytes: new Uint8Array(Buffer.from(h5, "base64")) },
      { format: "keras-v3", entrypoint: "model.keras", bytes: new Uint8Array(Buffer.from(keras, "base64")) },
    ],
  }))
}
