/**
 * The element types of tensors: what callers write, what engines hold, and what is sent as JSON.
 *
 *     float16   numbers                    Float32Array, each value one that float16 has
 *     int64     numbers, bigint, "9007199254740993"     BigInt64Array
 *     string    strings                    a list of strings
 */

export type TensorValues =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | string[]

export type DType =
  | "float32"
  | "float64"
  | "float16"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "bool"
  | "string"

export type Element = number | bigint | string

interface Kind {
  readonly make: (length: number) => TensorValues
  /** The element for what a caller wrote; `null` for what it can't hold exactly enough. */
  readonly from: (value: unknown) => Element | null
}

const largestHalf = 65_504

const whole = (least: number, most: number) => (value: unknown) =>
  typeof value === "number" && Number.isInteger(value) && value >= least && value <= most ? value : null

const wholeBig = (least: bigint, most: bigint) => (value: unknown) => {
  const big = asBigInt(value)
  return big !== null && big >= least && big <= most ? big : null
}

const kinds: Readonly<Record<DType, Kind>> = {
  float32: {
    make: (length) => new Float32Array(length),
    from: (value) => (typeof value === "number" && Number.isFinite(Math.fround(value)) ? value : null),
  },
  float64: {
    make: (length) => new Float64Array(length),
    from: (value) => (typeof value === "number" && Number.isFinite(value) ? value : null),
  },
  float16: {
    make: (length) => new Float32Array(length),
    from: (value) => (typeof value === "number" && Math.abs(value) <= largestHalf ? value : null),
  },
  int8: { make: (length) => new Int8Array(length), from: whole(-128, 127) },
  uint8: { make: (length) => new Uint8Array(length), from: whole(0, 255) },
  int16: { make: (length) => new Int16Array(length), from: whole(-32_768, 32_767) },
  uint16: { make: (length) => new Uint16Array(length), from: whole(0, 65_535) },
  int32: { make: (length) => new Int32Array(length), from: whole(-(2 ** 31), 2 ** 31 - 1) },
  uint32: { make: (length) => new Uint32Array(length), from: whole(0, 2 ** 32 - 1) },
  int64: { make: (length) => new BigInt64Array(length), from: wholeBig(-(2n ** 63n), 2n ** 63n - 1n) },
  uint64: { make: (length) => new BigUint64Array(length), from: wholeBig(0n, 2n ** 64n - 1n) },
  bool: {
    make: (length) => new Uint8Array(length),
    from: (value) => (value === true || value === 1 ? 1 : value === false || value === 0 ? 0 : null),
  },
  string: {
    make: (length) => Array.from({ length }, () => ""),
    from: (value) => (typeof value === "string" && value.isWellFormed() ? value : null),
  },
}

export function isDType(name: string | null): name is DType {
  return name !== null && Object.hasOwn(kinds, name)
}

export function valuesOf(dtype: DType, length: number): TensorValues {
  return kinds[dtype].make(length)
}

/** The element for what a caller wrote; `null` for what the type does not hold. */
export function elementFrom(dtype: DType, value: unknown): Element | null {
  return kinds[dtype].from(value)
}

/** Whether its elements may stand in a body as strings. */
export function isWrittenAsText(dtype: DType): boolean {
  return dtype === "string" || dtype === "int64" || dtype === "uint64"
}

/** Buffers that can be moved to another thread. */
export function buffersOf(values: readonly TensorValues[]): ArrayBuffer[] {
  return values.flatMap((data) => (Array.isArray(data) ? [] : [data.buffer]))
}

/** The first element that is no finite number; -1 where all are. */
export function notFiniteAt(data: TensorValues): number {
  if (data instanceof Float32Array || data instanceof Float64Array)
    return data.findIndex((value) => !Number.isFinite(value))
  return -1
}

// A number beyond 2^53 was rounded before it came here.
function asBigInt(value: unknown): bigint | null {
  if (typeof value === "bigint") return value
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : null
  return typeof value === "string" && /^(?:0|-?[1-9][0-9]{0,19})$/.test(value) ? BigInt(value) : null
}
