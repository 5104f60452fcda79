/** Asks one engine the cases of the matrix, through the loader's own functions. */
import { openFormat } from "@weighlock/runtime/src/formats/format.ts"
import { openLayersModel } from "@weighlock/runtime/src/engines/tfjs/layers-model.ts"
import type { Backend, OpenedBackend } from "@weighlock/runtime/src/engines/tfjs/backend.ts"
import { openJs } from "@weighlock/runtime/src/engines/tfjs/js.ts"
import { openWasm } from "@weighlock/runtime/src/engines/tfjs/wasm.ts"
import type { MatrixCase, TensorOfCase } from "./case.ts"

export type Outcome =
  | { readonly answers: readonly { readonly shape: readonly number[]; readonly values: ArrayLike<number> }[] }
  | { readonly why: string }

const backends: Readonly<Record<string, () => Promise<OpenedBackend>>> = { js: openJs, wasm: () => openWasm() }

// Libraries chat, as in the worker.
for (const method of ["debug", "info", "log", "warn"] as const) console[method] = () => undefined

export async function openEngine(name: string): Promise<Backend> {
  const opened = await backends[name]?.()
  if (opened?.available !== true) throw new Error(`engine ${name} is not here`)
  return opened
}

const shard = "group1-shard1of1.bin"

export function askCase(engine: Backend, one: MatrixCase): Promise<Outcome> {
  return askFiles(engine, { format: "tfjs-layers", entrypoint: "model.json", files: filesOf(one) }, one.inputs)
}

export interface ModelFiles {
  readonly format: string
  readonly entrypoint: string
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>
}

export async function askFiles(
  engine: Backend,
  { format, entrypoint, files }: ModelFiles,
  inputs: readonly Pick<TensorOfCase, "shape" | "dtype" | "values">[],
): Promise<Outcome> {
  try {
    const artifacts = openFormat(format, entrypoint, files)
    if (artifacts.kind !== "layers") throw new TypeError("not a model of layers")
    const model = await openLayersModel(engine, artifacts, performance.now())
    const answers = await model.predict(
      inputs.map(({ shape, dtype, values }) => ({ shape, data: typed(dtype, values) })),
    )
    return { answers: answers.map(({ shape, data }) => ({ shape, values: data as ArrayLike<number> })) }
  } catch (error) {
    return { why: error instanceof Error ? error.message : String(error) }
  } finally {
    engine.tf.disposeVariables()
  }
}

function filesOf({ topology, weights }: MatrixCase): Map<string, Uint8Array<ArrayBuffer>> {
  const specs = weights.map(({ name, shape, dtype }) => ({ name, shape, dtype }))
  const json = {
    format: "layers-model",
    modelTopology: topology,
    weightsManifest: [{ paths: [shard], weights: specs }],
  }
  return new Map([
    ["model.json", new Uint8Array(Buffer.from(JSON.stringify(json)))],
    [shard, new Uint8Array(Float32Array.from(weights.flatMap(({ values }) => values)).buffer)],
  ])
}

function typed(
  dtype: TensorOfCase["dtype"],
  values: readonly number[],
): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  return dtype === "float32" ? Float32Array.from(values) : Int32Array.from(values)
}
