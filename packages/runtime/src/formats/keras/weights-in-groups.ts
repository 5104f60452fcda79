/** Weights of a Keras file: datasets become the weights of layers, by the layer's name and the weight's place in it. */
import { refused } from "../../errors.ts"
import { halfToNumber } from "../../half.ts"
import type { Dataset } from "../hdf5/dataset.ts"
import type { Weight, WeightType, WeightValues } from "../weights.ts"

/** Of the layer at `path` (models first) the weight that is so many-th in it. */
export function weightOf(path: readonly string[], index: number, dataset: Dataset, where: string): Weight {
  const { shape } = dataset
  return { name: where, shape, place: { path, index }, ...valuesOf(dataset, where) }
}

function valuesOf(
  { type, elements, bytes }: Dataset,
  where: string,
): { dtype: WeightType; values: () => WeightValues } {
  const { kind, size } = type
  const aligned = <T>(width: number, make: (buffer: ArrayBuffer, at: number, count: number) => T): T =>
    bytes.byteOffset % width === 0
      ? make(bytes.buffer, bytes.byteOffset, elements)
      : make(bytes.slice().buffer, 0, elements)
  if (kind === "float" && size === 4)
    return { dtype: "float32", values: () => aligned(4, (buffer, at, count) => new Float32Array(buffer, at, count)) }
  if (kind === "float" && size === 8)
    return {
      dtype: "float32",
      values: () => Float32Array.from(aligned(8, (buffer, at, count) => new Float64Array(buffer, at, count))),
    }
  if (kind === "float")
    return {
      dtype: "float32",
      values: () =>
        Float32Array.from(
          aligned(2, (buffer, at, count) => new Uint16Array(buffer, at, count)),
          halfToNumber,
        ),
    }
  if (kind === "int" && size === 4)
    return { dtype: "int32", values: () => aligned(4, (buffer, at, count) => new Int32Array(buffer, at, count)) }
  throw refused(
    `weight ${where} holds ${kind === "other" ? "elements" : `${8 * size}-bit whole numbers`} that no layer takes`,
    {
      hint: "a model that was quantised in Keras is not loaded: save it before it is quantised",
    },
  )
}
