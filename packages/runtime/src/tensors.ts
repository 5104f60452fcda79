/**
 * Between what callers write and what engines read: nested lists of numbers, and flat typed arrays with a shape.
 *
 *     spec { name: "image", shape: [28, 28], dtype: "float32" }, instances [[[0, 0.5, …], …], …]
 *     -> { shape: [n, 28, 28], data: Float32Array(n × 784) }
 *
 * Strict both ways: what is ragged, not a number, or not finite in the tensor's type is INPUT_INVALID, never rounded to
 * something near; a NaN that comes out is OUTPUT_INVALID, never a silent `null`.
 */
import { type DType, type Element, elementFrom, type TensorValues, valuesOf } from "./dtypes.ts"
import { RuntimeError } from "./errors.ts"

/** One input or output of a model. `shape` leaves the batch out; `null` is a dimension the model takes in any size. */
export interface TensorSpec {
  readonly name: string
  readonly shape: readonly (number | null)[]
  readonly dtype: DType
}

/** A whole batch; `shape[0]` counts the instances. */
export interface TensorData {
  readonly shape: readonly number[]
  readonly data: TensorValues
}

/** One tensor of one instance: nested lists, or a flat typed array with the right number of elements. */
export type TensorValue = number | bigint | string | boolean | ArrayLike<number | bigint> | readonly TensorValue[]
/** What a model answers for one tensor of one instance; a bigint where a number would be rounded. */
export type OutputValue = number | bigint | string | boolean | OutputValue[]

/** Elements a tensor may have (256 MiB of float32): larger ones are refused before they are allocated. */
export const maxElements: number = 2 ** 26

/** Packs the same input of every instance into one batch. Throws INPUT_INVALID. */
export function packBatch(spec: TensorSpec, instances: readonly unknown[]): TensorData {
  const shape = settleShape(spec, instances[0])
  const each = elementsIn(shape)
  if (each * instances.length > maxElements) {
    throw badInput(spec, `${instances.length} instances of ${describe(shape)} are more than ${maxElements} numbers`)
  }
  const data = valuesOf(spec.dtype, each * instances.length)
  instances.forEach((instance, index) => packInstance(spec, shape, instance, data, index * each))
  return { shape: [instances.length, ...shape], data }
}

/** One nested list per instance. Throws OUTPUT_INVALID for NaN. */
export function unpackBatch(spec: TensorSpec, { shape, data }: TensorData): OutputValue[] {
  const nan = isFractions(data) ? data.findIndex((value) => Number.isNaN(value)) : -1
  if (nan >= 0) throw new RuntimeError("OUTPUT_INVALID", `output ${spec.name}: element ${nan} of the answer is NaN`)
  const [count = 0, ...inner] = shape
  const each = elementsIn(inner)
  return Array.from({ length: count }, (_, index) => nest(inner, data, index * each, spec.dtype === "bool"))
}

export function elementsIn(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

export function describe(shape: readonly (number | null)[]): string {
  return `[${shape.map((size) => size ?? "any").join(",")}]`
}

function nest(shape: readonly number[], data: TensorValues, offset: number, asBool: boolean): OutputValue {
  const [length, ...inner] = shape
  if (length === undefined) return outputValue(data[offset] ?? 0, asBool)
  const each = elementsIn(inner)
  return Array.from({ length }, (_, index) => nest(inner, data, offset + index * each, asBool))
}

function isFractions(data: TensorValues): data is Extract<TensorValues, Float32Array | Float64Array> {
  return data instanceof Float32Array || data instanceof Float64Array
}

function outputValue(element: Element, asBool: boolean): OutputValue {
  if (asBool) return element !== 0
  if (typeof element !== "bigint") return element
  const number = Number(element)
  return Number.isSafeInteger(number) ? number : element
}

// Dimensions the model leaves open are taken from the first instance; the others must agree.
function settleShape(spec: TensorSpec, first: unknown): number[] {
  if (isFlat(spec, first)) return spec.shape.map(Number)
  const found = shapeOf(first, spec.shape.length + 1)
  const fits = found.length === spec.shape.length && spec.shape.every((size, at) => size === null || size === found[at])
  if (!fits) throw badInput(spec, `expected shape ${describe(spec.shape)}, found ${describe(found)}`)
  return found
}

function packInstance(spec: TensorSpec, shape: number[], value: unknown, data: TensorValues, offset: number): void {
  const from = isFlat(spec, value) ? [elementsIn(shape)] : shape
  pack(spec, from, value, data, offset)
}

function pack(spec: TensorSpec, shape: number[], value: unknown, data: TensorValues, offset: number): void {
  const [length, ...inner] = shape
  if (length === undefined) {
    ;(data as Record<number, Element>)[offset] = scalar(spec, value)
    return
  }
  if (!isList(value) || value.length !== length) {
    const found = isList(value) ? `a list of ${value.length}` : describeValue(value)
    throw badInput(spec, `expected shape ${describe(spec.shape)}, found ${found} where a list of ${length} belongs`)
  }
  if (inner.length === 0 && spec.dtype === "float32" && packFloats(value, data as Float32Array, offset)) return
  const each = elementsIn(inner)
  for (let index = 0; index < length; index++) pack(spec, inner, value[index], data, offset + index * each)
}

/** What most questions are made of, without a look at each number's type; `false` where one is no finite number. */
function packFloats(list: ArrayLike<unknown>, data: Float32Array, offset: number): boolean {
  if (list instanceof Float32Array) data.set(list, offset)
  else if (!copyNumbers(list, data, offset)) return false
  return areFinite(data, offset, offset + list.length)
}

function copyNumbers(list: ArrayLike<unknown>, data: Float32Array, offset: number): boolean {
  for (let index = 0; index < list.length; index++) {
    const value = list[index]
    if (typeof value !== "number") return false
    data[offset + index] = value
  }
  return true
}

function areFinite(data: Float32Array, from: number, to: number): boolean {
  // Without a branch: the largest size is NaN where one of them is, and Infinity where one of those is.
  let largest = 0
  for (let index = from; index < to; index++) largest = Math.max(largest, Math.abs(data[index] as number))
  return Number.isFinite(largest)
}

function scalar(spec: TensorSpec, value: unknown): Element {
  const element = elementFrom(spec.dtype, value)
  if (element !== null) return element
  const wanted = spec.dtype === "string" ? "strings" : `${spec.dtype} numbers`
  if (spec.dtype === "string" || typeof value !== "number")
    throw badInput(spec, `expected ${wanted}, found ${describeValue(value)}`)
  throw badInput(spec, `${value} is not a ${spec.dtype} value`)
}

// A flat typed array stands for the whole tensor when its shape is known and the count is right.
function isFlat(spec: TensorSpec, value: unknown): boolean {
  if (spec.shape.length < 2 || !isTypedArray(value) || spec.shape.includes(null)) return false
  return value.length === elementsIn(spec.shape.map(Number))
}

function shapeOf(value: unknown, maxRank: number): number[] {
  if (maxRank === 0 || !isList(value)) return []
  return [value.length, ...shapeOf(value[0], maxRank - 1)]
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || isTypedArray(value)
}

function isTypedArray(value: unknown): value is ArrayLike<unknown> & ArrayBufferView {
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
}

function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  return isList(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`
}

function badInput(spec: TensorSpec, why: string): RuntimeError {
  return new RuntimeError("INPUT_INVALID", `input ${spec.name}: ${why}`)
}
