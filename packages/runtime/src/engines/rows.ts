/** A batch taken apart by rows, and put together again. */
import { RuntimeError } from "../errors.ts"
import type { TensorValues } from "../dtypes.ts"
import { elementsIn, maxElements, type TensorData } from "../tensors.ts"

/** Rows `start` up to `end`; a view, nothing is copied. */
export function rowsOf({ shape, data }: TensorData, start: number, end: number): TensorData {
  const [, ...inner] = shape
  const each = elementsIn(inner)
  return { shape: [end - start, ...inner], data: part(data, start * each, end * each) }
}

/** Chunks of rows become one tensor, whose size is known, and bounded, from the first chunk on. */
export class GrowingTensor {
  readonly #rows: number
  #inner: readonly number[] = []
  #data: TensorValues | null = null
  #filled = 0

  constructor(rows: number) {
    this.#rows = rows
  }

  /** Throws OUTPUT_INVALID when it is too large, or unlike the chunks before. */
  add([rows = 0, ...inner]: readonly number[], values: TensorValues): void {
    const each = elementsIn(inner)
    if (this.#data === null) {
      if (each * this.#rows > maxElements)
        throw new RuntimeError("OUTPUT_INVALID", `the answer has more than ${maxElements} numbers`)
      this.#inner = inner
      this.#data = rows === this.#rows ? values : sameKind(values, each * this.#rows)
    }
    const fits = elementsIn(this.#inner) === each && this.#filled + rows <= this.#rows && values.length === rows * each
    if (!fits) throw new RuntimeError("OUTPUT_INVALID", "the model answers another number of rows than it was asked")
    if (this.#data !== values) copy(values, this.#data, this.#filled * each)
    this.#filled += rows
  }

  whole(): TensorData {
    if (this.#data === null || this.#filled !== this.#rows)
      throw new RuntimeError("OUTPUT_INVALID", "the model answers another number of rows than it was asked")
    return { shape: [this.#rows, ...this.#inner], data: this.#data }
  }
}

function part(data: TensorValues, start: number, end: number): TensorValues {
  return Array.isArray(data) ? data.slice(start, end) : data.subarray(start, end)
}

function copy(from: TensorValues, to: TensorValues, at: number): void {
  if (Array.isArray(to)) to.splice(at, from.length, ...(from as string[]))
  else (to as { set(values: unknown, at: number): void }).set(from, at)
}

function sameKind(values: TensorValues, length: number): TensorValues {
  if (Array.isArray(values)) return Array.from({ length }, () => "")
  const Kind = values.constructor as new (length: number) => TensorValues
  return new Kind(length)
}
