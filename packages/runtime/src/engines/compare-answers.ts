/** Whether two answers of one model are the same, but for rounding. */
import type { TensorValues } from "../dtypes.ts"
import type { TensorData } from "../tensors.ts"

/** `tolerance`: absolute, for numbers; whole numbers and strings are equal or not. NaN equals NaN. */
export function answersAgree(
  expected: readonly TensorData[],
  found: readonly TensorData[],
  tolerance: number,
): boolean {
  return expected.length === found.length && expected.every((one, index) => agrees(one, found[index], tolerance))
}

/** The largest finite number, by size. */
export function peakOf(answer: readonly TensorData[]): number {
  let peak = 0
  for (const { data } of answer)
    if (isFractions(data)) for (const value of data) if (Number.isFinite(value)) peak = Math.max(peak, Math.abs(value))
  return peak
}

function agrees(expected: TensorData, found: TensorData | undefined, tolerance: number): boolean {
  if (found?.shape.join() !== expected.shape.join()) return false
  const [a, b] = [expected.data, found.data]
  if (!isFractions(a) || !isFractions(b)) {
    const [left, right] = [a as ArrayLike<unknown>, b as ArrayLike<unknown>]
    return Array.from(left).every((value, at) => value === right[at])
  }
  return a.every((value, at) => {
    const other = b[at] ?? NaN
    return Object.is(value, other) || Math.abs(value - other) <= tolerance
  })
}

function isFractions(data: TensorValues): data is Extract<TensorValues, Float32Array | Float64Array> {
  return data instanceof Float32Array || data instanceof Float64Array
}
