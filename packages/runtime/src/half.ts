/** float16 to float32 and back (IEEE 754 binary16). Node 22 has no Float16Array. */

declare const Float16Array: undefined | (new (from: ArrayLike<number>) => { readonly buffer: ArrayBuffer })

/** The bits of each. */
export function toHalf(values: Float32Array): Uint16Array {
  if (typeof Float16Array === "undefined") return Uint16Array.from(values, halfBits)
  return new Uint16Array(new Float16Array(values).buffer)
}

export function fromHalf(data: ArrayBufferView): Float32Array<ArrayBuffer> {
  if (!(data instanceof Uint16Array)) return Float32Array.from(data as unknown as ArrayLike<number>)
  return Float32Array.from(data, halfToNumber)
}

export function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** The nearest; of two that are as near, the even one. */
function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const size = Math.abs(value)
  if (Number.isNaN(size)) return 0x7e00
  if (size >= 65_520) return sign | 0x7c00
  if (size < 2 ** -14) return sign | roundEven(size * 2 ** 24)
  const exponent = Math.floor(Math.log2(size))
  const power = 2 ** exponent > size ? exponent - 1 : 2 ** (exponent + 1) <= size ? exponent + 1 : exponent
  return sign | (((power + 15) << 10) + roundEven((size / 2 ** power - 1) * 1024))
}

function roundEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}
