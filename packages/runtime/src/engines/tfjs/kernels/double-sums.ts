/**
 * Products of two vectors and of a vector and a matrix, added up in double precision.
 *
 *     0.1 · 0.1, a million times      10000.0003, where one float32 after the other gives 10001.46
 */

/** Some numbers of a tensor: `count` of them, `step` apart. */
export interface Run {
  readonly values: Float32Array
  readonly start: number
  readonly step: number
  readonly count: number
}

/** Adds run · matrix to `sums`; the matrix has a row for each number of the run and lies in `values` from `start` on. */
export function addRows(sums: Float64Array, run: Run, values: Float32Array, start: number): void {
  const { count, step } = run
  const x = run.values
  const columns = sums.length
  let [at, row, index] = [run.start, start, 0]
  // Four rows at a time: each sum is read and written once for them.
  for (; index + 4 <= count; index += 4, at += 4 * step, row += 4 * columns) {
    const a = x[at] as number
    const b = x[at + step] as number
    const c = x[at + 2 * step] as number
    const d = x[at + 3 * step] as number
    const [second, third, fourth] = [row + columns, row + 2 * columns, row + 3 * columns]
    for (let column = 0; column < columns; column++) {
      sums[column] =
        (sums[column] as number) +
        (a * (values[row + column] as number) + b * (values[second + column] as number)) +
        (c * (values[third + column] as number) + d * (values[fourth + column] as number))
    }
  }
  for (; index < count; index++, at += step, row += columns) {
    const a = x[at] as number
    for (let column = 0; column < columns; column++) {
      sums[column] = (sums[column] as number) + a * (values[row + column] as number)
    }
  }
}

/** As `addRows`, for `columns` sums from `first` on and a matrix that lies column by column. */
export function addColumns(
  sums: Float64Array,
  first: number,
  columns: number,
  run: Run,
  values: Float32Array,
  start: number,
): void {
  const { count, step } = run
  const x = run.values
  for (let column = 0; column < columns; column++) {
    let sum = 0
    let [at, weight] = [run.start, start + column * count]
    for (let index = 0; index < count; index++, at += step, weight++) {
      sum += (x[at] as number) * (values[weight] as number)
    }
    sums[first + column] = (sums[first + column] as number) + sum
  }
}
