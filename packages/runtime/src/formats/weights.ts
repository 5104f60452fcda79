/**
 * The weights of a tfjs-layers model: which listed files hold them, and where each begins.
 *
 *     "weightsManifest": [{ "paths": ["group1-shard1of1.bin"],
 *       "weights": [{ "name": "conv/kernel", "shape": [3,3,1,32], "dtype": "float32" },
 *                   { "name": "conv/bias", "shape": [32], "dtype": "float32",
 *                     "quantization": { "dtype": "uint8", "scale": 0.01, "min": -1 } }] }]
 *
 * The shards of a group are one run of bytes, its weights lie in it back to back, and together they fill it exactly. A
 * path is looked up among the verified files as it is spelled, but for a "./" before it: no file system and no URL is ever
 * involved.
 */
import type { JsonValue } from "@weighlock/manifest"
import { refused } from "../errors.ts"
import { halfToNumber } from "../half.ts"
import { asArray, asFinite, asName, asObject, asOneOf, asShape } from "./json-fields.ts"
import { ShardedBytes } from "./sharded-bytes.ts"

export type WeightType = "float32" | "int32" | "bool"
export type WeightValues = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>

/** Where a weight belongs, for formats that do not go by its name. */
export interface WeightPlace {
  /** Names: the models that it lies in, and its layer. */
  readonly path: readonly string[]
  /** Among the weights of that layer. */
  readonly index: number
}

export interface WeightSpec {
  readonly place?: WeightPlace
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: WeightType
}

export interface Weight extends WeightSpec {
  /** A view of the verified bytes where alignment allows, else a copy; dequantised on each call. */
  readonly values: () => WeightValues
}

interface Quantization {
  readonly dtype: "uint8" | "uint16" | "float16"
  readonly scale: number
  readonly min: number
}

const bytesPer = { float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2 } as const
const dtypes = ["float32", "int32", "bool"] as const
const maxWeights = 100_000

/** `folder` is the entrypoint's, "" or ending in a slash. Throws MODEL_REFUSED. */
export function openWeights(
  manifest: JsonValue | undefined,
  folder: string,
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
): Weight[] {
  const unused = new Map(files)
  const weights = asArray(manifest, "weightsManifest", maxWeights).flatMap((value) => {
    const group = asObject(value, "a weight group")
    const shards = asArray(group["paths"], "paths", maxWeights).map((path) => takeShard(path, folder, unused))
    return openGroup(asArray(group["weights"], "weights", maxWeights), new ShardedBytes(shards))
  })
  requireDistinct(weights)
  return weights
}

function takeShard(
  path: JsonValue,
  folder: string,
  unused: Map<string, Uint8Array<ArrayBuffer>>,
): Uint8Array<ArrayBuffer> {
  // `save("downloads://")` writes "./model.weights.bin".
  const name = folder + asName(path, "a weight path").replace(/^(?:\.\/)+/, "")
  const bytes = unused.get(name)
  if (!bytes) throw refused(`weight path ${JSON.stringify(path)} is not an unused file of the signed manifest`)
  unused.delete(name) // one file read twice would make much out of little
  return bytes
}

function openGroup(specs: readonly JsonValue[], bytes: ShardedBytes): Weight[] {
  let offset = 0
  const weights = specs.flatMap((value) => {
    const spec = asObject(value, "a weight")
    const name = asName(spec["name"], "a weight's name")
    const dtype = asOneOf(spec["dtype"], dtypes, `dtype of weight ${name}`)
    const shape = asShape(spec["shape"], `shape of weight ${name}`)
    const quantization = openQuantization(spec["quantization"], dtype, name)
    const count = shape.reduce((product, size) => product * size, 1)
    const start = offset
    offset += count * bytesPer[quantization?.dtype ?? dtype]
    if (offset > bytes.length) throw refused(`weight ${name} needs byte ${offset}, its files end at ${bytes.length}`)
    const values = (): WeightValues =>
      quantization ? dequantise(bytes, start, count, dtype, quantization) : plain(bytes, start, count, dtype)
    return isOptimizerState(spec["group"], name) ? [] : [{ name, shape, dtype, values }]
  })
  if (offset !== bytes.length) throw refused(`weights end at byte ${offset}, their files at ${bytes.length}`)
  return weights
}

// What training left behind is of no use to a prediction.
function isOptimizerState(group: JsonValue | undefined, name: string): boolean {
  return group !== undefined && asOneOf(group, ["model", "optimizer"], `group of weight ${name}`) === "optimizer"
}

function openQuantization(value: JsonValue | undefined, dtype: WeightType, name: string): Quantization | null {
  if (value === undefined) return null
  const where = `quantization of weight ${name}`
  const fields = asObject(value, where)
  const code = asOneOf(fields["dtype"], ["uint8", "uint16", "float16"] as const, `${where}: dtype`)
  if (dtype === "bool" || (code === "float16" && dtype !== "float32")) throw refused(`${where}: ${code} for ${dtype}`)
  if (code === "float16") return { dtype: code, scale: 1, min: 0 }
  const scale = asFinite(fields["scale"], `${where}: scale`)
  const min = asFinite(fields["min"], `${where}: min`)
  const most = 2 ** (8 * bytesPer[code]) - 1
  const fits = (edge: number): boolean =>
    dtype === "int32" ? Math.round(edge) === (Math.round(edge) | 0) : Number.isFinite(Math.fround(edge))
  if (!fits(min) || !fits(most * scale + min)) throw refused(`${where} leaves the range of ${dtype}`)
  return { dtype: code, scale, min }
}

function plain(bytes: ShardedBytes, start: number, count: number, dtype: WeightType): WeightValues {
  if (dtype === "float32") return new Float32Array(...bytes.aligned(start, count, 4))
  if (dtype === "int32") return new Int32Array(...bytes.aligned(start, count, 4))
  return new Uint8Array(...bytes.aligned(start, count, 1))
}

function dequantise(
  bytes: ShardedBytes,
  start: number,
  count: number,
  dtype: WeightType,
  from: Quantization,
): WeightValues {
  const codes =
    from.dtype === "uint8"
      ? new Uint8Array(...bytes.aligned(start, count, 1))
      : new Uint16Array(...bytes.aligned(start, count, 2))
  if (from.dtype === "float16") return Float32Array.from(codes, halfToNumber)
  if (dtype === "int32") return Int32Array.from(codes, (code) => Math.round(code * from.scale + from.min))
  return Float32Array.from(codes, (code) => code * from.scale + from.min)
}

function requireDistinct(weights: readonly Weight[]): void {
  const seen = new Set<string>()
  for (const { name } of weights) {
    if (seen.has(name)) throw refused(`two weights are named ${name}`)
    seen.add(name)
  }
}
