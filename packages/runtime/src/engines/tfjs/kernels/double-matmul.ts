/** Products of matrices in double precision. */
import { addColumns, addRows } from "./double-sums.ts"

/** `batch` products [rows, inner] · [inner, columns]; a factor that is there less often is taken again from its first. */
export interface Product {
  readonly batch: number
  readonly batchA: number
  readonly batchB: number
  readonly rows: number
  readonly inner: number
  readonly columns: number
  /** The factor lies the other way round. */
  readonly transposeA: boolean
  readonly transposeB: boolean
}

/** `bias` has a number for each column, or one for all. */
export function multiply(
  product: Product,
  a: Float32Array,
  b: Float32Array,
  bias: Float32Array | undefined,
  out: Float32Array,
): void {
  const { batch, batchA, batchB, rows, inner, columns, transposeA, transposeB } = product
  const sums = new Float64Array(columns)
  let at = 0
  for (let item = 0; item < batch; item++) {
    const left = (item % batchA) * rows * inner
    const right = (item % batchB) * inner * columns
    for (let row = 0; row < rows; row++, at += columns) {
      const run = {
        values: a,
        start: left + (transposeA ? row : row * inner),
        step: transposeA ? rows : 1,
        count: inner,
      }
      startAt(sums, bias)
      if (transposeB) addColumns(sums, 0, columns, run, b, right)
      else addRows(sums, run, b, right)
      out.set(sums, at)
    }
  }
}

/** Sums begin with the bias. */
export function startAt(sums: Float64Array, bias: Float32Array | undefined): void {
  if (bias === undefined || bias.length === 1) sums.fill(bias?.[0] ?? 0)
  else sums.set(bias)
}
