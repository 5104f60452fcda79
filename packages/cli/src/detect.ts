/** What a folder of files most likely is, by the files at its top: the format and the file a loader starts from. */
import { open } from "node:fs/promises"
import { type ModelFormat, parseJson } from "@weighlock/manifest"
import type { FoundFile } from "@weighlock/manifest/node"
import { usage } from "./errors.ts"

export interface Detected {
  readonly format: ModelFormat
  readonly entrypoint?: string
}

const byExtension: readonly (readonly [string, ModelFormat])[] = [
  [".keras", "keras-v3"],
  [".h5", "keras-h5"],
  [".hdf5", "keras-h5"],
  [".onnx", "onnx"],
  [".safetensors", "safetensors"],
]

/** What the user said wins; what he left out is found, or the model is `other`. Throws USAGE when it takes a choice. */
export async function detect(
  files: readonly FoundFile[],
  given: { format?: ModelFormat | undefined; entrypoint?: string | undefined },
): Promise<Detected> {
  const candidates = (await Promise.all(files.filter(({ name }) => !name.includes("/")).map(candidateOf))).flat()
  const fitting = candidates.filter(
    ({ format, entrypoint }) => format === (given.format ?? format) && entrypoint === (given.entrypoint ?? entrypoint),
  )
  const [first, ...more] = fitting
  if (given.format === "other")
    return { format: "other", ...(given.entrypoint === undefined ? {} : { entrypoint: given.entrypoint }) }
  if (given.format !== undefined && given.entrypoint !== undefined)
    return { format: given.format, entrypoint: given.entrypoint }
  if (first !== undefined && more.length === 0) return first
  if (first === undefined && given.format === undefined)
    return { format: "other", ...(given.entrypoint === undefined ? {} : { entrypoint: given.entrypoint }) }
  if (first === undefined)
    throw usage(
      `no file of this folder looks like the start of a ${given.format} model`,
      "name it with --entrypoint PATH",
    )
  throw usage(
    `several files could be the start of the model: ${fitting.map(({ entrypoint }) => entrypoint).join(", ")}`,
    "choose one with --entrypoint PATH, and --format if need be",
  )
}

async function candidateOf({ name, path, size }: FoundFile): Promise<{ format: ModelFormat; entrypoint: string }[]> {
  if (name === "saved_model.pb") return [{ format: "saved-model", entrypoint: name }]
  if (name.endsWith(".json") && size <= 2 ** 26) return await tfjsModel(name, path, size)
  const format = byExtension.find(([extension]) => name.toLowerCase().endsWith(extension))?.[1]
  return format === undefined ? [] : [{ format, entrypoint: name }]
}

async function tfjsModel(
  name: string,
  path: string,
  size: number,
): Promise<{ format: ModelFormat; entrypoint: string }[]> {
  const bytes = Buffer.alloc(size)
  const file = await open(path)
  try {
    await file.read(bytes, 0, size, 0)
    const value = parseJson(bytes)
    const kind =
      value !== null && typeof value === "object" && !Array.isArray(value) && "weightsManifest" in value
        ? value["format"]
        : undefined
    if (kind === "graph-model") return [{ format: "tfjs-graph", entrypoint: name }]
    return kind === "layers-model" ? [{ format: "tfjs-layers", entrypoint: name }] : []
  } catch {
    return []
  } finally {
    await file.close()
  }
}
