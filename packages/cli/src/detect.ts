/**
 * What a folder of files most likely is: the format, and the file a loader starts from.
 *
 *     model.json with "weightsManifest"       tfjs-layers or tfjs-graph, whether or not it can be loaded
 *     model.safetensors.index.json            safetensors, with the shards it names
 *     pytorch_model.bin.index.json            other, from config.json
 *
 * The files at the top decide; where they say nothing, those below do.
 */
import type { ModelFormat } from "@weighlock/manifest"
import type { FoundFile } from "@weighlock/manifest/node"
import { usage } from "./errors.ts"
import { readIndex } from "./publishing/shards.ts"
import { tfjsFormat } from "./publishing/tfjs-json.ts"

export interface Detected {
  readonly format: ModelFormat
  readonly entrypoint?: string
}

interface Candidate {
  readonly format: ModelFormat
  readonly entrypoint: string
}

const byExtension: readonly (readonly [string, ModelFormat])[] = [
  [".keras", "keras-v3"],
  [".h5", "keras-h5"],
  [".hdf5", "keras-h5"],
  [".onnx", "onnx"],
  [".safetensors", "safetensors"],
]

/** Of several at the top, what the Hub's libraries look for first. */
const conventional = ["model.safetensors.index.json", "model.safetensors"]
const safetensorsIndex = /\.safetensors\.index(?:\.[\w-]+)?\.json$/
const binIndex = /\.bin\.index(?:\.[\w-]+)?\.json$/
const shard = /-\d+-of-\d+\.[\w.]+$/

interface Given {
  readonly format?: ModelFormat | undefined
  readonly entrypoint?: string | undefined
}

/** What the user said wins; what he left out is found, or the model is `other`. Throws USAGE when it takes a choice. */
export async function detect(files: readonly FoundFile[], given: Given): Promise<Detected> {
  const named = given.entrypoint
  const entrypoint = named === undefined ? {} : { entrypoint: named }
  if (given.format === "other") return { format: "other", ...entrypoint }
  if (given.format !== undefined && named !== undefined) return { format: given.format, entrypoint: named }
  const fitting = (await candidates(files)).filter(
    (found) => found.format === (given.format ?? found.format) && found.entrypoint === (named ?? found.entrypoint),
  )
  const first = conventionalOf(fitting)
  const chosen = first ?? fitting[0]
  if (chosen === undefined && given.format === undefined)
    return named === undefined ? other(files) : { format: "other", ...entrypoint }
  if (chosen === undefined)
    throw usage(
      `no file of this folder looks like the start of a ${given.format} model`,
      "name it with --entrypoint PATH",
    )
  if (fitting.length === 1 || first !== undefined) return chosen
  if (fitting.every(({ entrypoint }) => shard.test(entrypoint)))
    throw usage(
      `these are parts of one model, and its index is missing: ${shown(fitting.map(({ entrypoint }) => entrypoint))}`,
      "get model.safetensors.index.json as well; --format other takes the folder as it is",
    )
  throw usage(
    `several files could be the start of the model: ${shown(fitting.map(({ entrypoint }) => entrypoint))}`,
    "choose one with --entrypoint PATH, and --format if need be; --format other takes the folder as it is",
  )
}

/** One model is often there in the formats of several libraries; with one for TensorFlow.js its publisher has to choose. */
function conventionalOf(fitting: readonly Candidate[]): Candidate | undefined {
  if (fitting.some(({ format }) => format === "tfjs-layers" || format === "tfjs-graph")) return undefined
  const [best] = conventional.filter((name) => fitting.some(({ entrypoint }) => entrypoint === name))
  return fitting.find(({ entrypoint }) => entrypoint === best)
}

/** Those at the top, else those below. */
async function candidates(files: readonly FoundFile[]): Promise<Candidate[]> {
  const top = files.filter(({ name }) => !name.includes("/"))
  const found = await among(top)
  // A folder that starts at its top with something else than a format of ours is not searched for parts of it.
  return found.length > 0 || other(top).entrypoint !== undefined ? found : await among(files)
}

async function among(files: readonly FoundFile[]): Promise<Candidate[]> {
  const shards = new Set<string>()
  const found: Candidate[] = []
  for (const file of files) {
    if (!safetensorsIndex.test(file.name)) continue
    for (const name of await readIndex(file)) shards.add(name)
    found.push({ format: "safetensors", entrypoint: file.name })
  }
  for (const file of files) {
    const candidate = shards.has(file.name) || safetensorsIndex.test(file.name) ? null : await candidateOf(file)
    if (candidate !== null) found.push(candidate)
  }
  return found
}

async function candidateOf(file: FoundFile): Promise<Candidate | null> {
  const { name } = file
  if (/(?:^|\/)saved_model\.pb$/.test(name)) return { format: "saved-model", entrypoint: name }
  if (name.toLowerCase().endsWith(".json")) {
    const format = await tfjsFormat(file)
    return format === null ? null : { format, entrypoint: name }
  }
  const format = byExtension.find(([extension]) => name.toLowerCase().endsWith(extension))?.[1]
  return format === undefined ? null : { format, entrypoint: name }
}

/** Formats of others whose start is known by its name: PyTorch shards, diffusers, GGUF. */
function other(files: readonly FoundFile[]): Detected {
  const names = new Set(files.map(({ name }) => name).filter((name) => !name.includes("/")))
  if (names.has("config.json") && [...names].some((name) => binIndex.test(name)))
    return { format: "other", entrypoint: "config.json" }
  if (names.has("model_index.json")) return { format: "other", entrypoint: "model_index.json" }
  const gguf = [...names].filter((name) => name.toLowerCase().endsWith(".gguf"))
  const [first] = gguf.toSorted()
  const isOne = gguf.length === 1 || (gguf.length > 0 && gguf.every((name) => shard.test(name)))
  return isOne && first !== undefined ? { format: "other", entrypoint: first } : { format: "other" }
}

function shown(names: readonly string[]): string {
  const most = 10
  return names.length <= most ? names.join(", ") : `${names.slice(0, most).join(", ")} and ${names.length - most} more`
}
