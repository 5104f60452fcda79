/** A slice of a tensor of any rank, copied run by run. */
export function copyBox(
  from: Float32Array,
  shape: readonly number[],
  begin: readonly number[],
  size: readonly number[],
  to: Float32Array,
): void {
  const last = Math.max(
    0,
    shape.findLastIndex((length, axis) => size[axis] !== length),
  )
  const inner = shape.slice(last + 1).reduce((product, length) => product * length, 1)
  const run = inner * (size[last] ?? 1)
  const at = size.slice(0, last).map(() => 0)
  for (let target = 0; target < to.length; target += run) {
    const row = at.reduce((offset, index, axis) => offset * (shape[axis] ?? 1) + index + (begin[axis] ?? 0), 0)
    const source = (row * (shape[last] ?? 1) + (begin[last] ?? 0)) * inner
    to.set(from.subarray(source, source + run), target)
    for (let axis = last - 1; axis >= 0; axis--) {
      at[axis] = (at[axis] ?? 0) + 1
      if ((at[axis] ?? 0) < (size[axis] ?? 1)) break
      at[axis] = 0
    }
  }
}
