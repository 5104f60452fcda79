/**
 * TF Serving's two forms of one answer, from tensors to bytes without lists in between.
 *
 *     rows      {"predictions":[[0.1,0.9],[0.3,0.7]]}    several outputs: {"predictions":[{"prob":[0.1,0.9],"size":3}, …]}
 *     single    {"result":{"prob":[0.1,0.9]}}               one row, its outputs always by name
 *     columns   {"outputs":[[0.1,0.9],[0.3,0.7]]}        several outputs: {"outputs":{"prob":[[0.1,0.9], …],"size":[3, …]}}
 */
import { notFiniteAt } from "./dtypes.ts"
import { RuntimeError } from "./errors.ts"
import { BoundedText } from "./bounded-text.ts"
import type { AnswerForm } from "./predict-body.ts"
import { elementsIn, type TensorData, type TensorSpec } from "./tensors.ts"

/** Numbers that are made text at once. */
const stretch = 4096

/** Throws OUTPUT_INVALID for what JSON can't say, and for more than `maxBytes`. */
export function writeAnswer(
  form: AnswerForm,
  outputs: readonly TensorSpec[],
  tensors: readonly TensorData[],
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  const columns = outputs.map((spec, index) => new Column(spec, tensors[index]))
  const text = new BoundedText(maxBytes)
  text.add(form === "rows" ? '{"predictions":' : form === "columns" ? '{"outputs":' : '{"result":')
  if (form === "rows") writeRows(text, columns)
  else if (form === "columns") writeColumns(text, columns)
  else writeNamed(text, columns, (column) => column.writeRow(text, 0))
  text.add("}")
  return text.bytes()
}

/** The least bytes that so many elements take: a digit and a comma each. */
export function leastBytes(elements: number): number {
  return 2 * elements
}

function writeRows(text: BoundedText, columns: readonly Column[]): void {
  const [only] = columns
  const count = only?.count ?? 0
  writeList(text, count, (row) => {
    if (columns.length === 1) only?.writeRow(text, row)
    else writeNamed(text, columns, (column) => column.writeRow(text, row))
  })
}

function writeColumns(text: BoundedText, columns: readonly Column[]): void {
  const whole = (column: Column): void => writeList(text, column.count, (row) => column.writeRow(text, row))
  if (columns.length === 1) columns.forEach(whole)
  else writeNamed(text, columns, whole)
}

function writeNamed(text: BoundedText, columns: readonly Column[], write: (column: Column) => void): void {
  columns.forEach((column, index) => {
    text.add(index === 0 ? "{" : ",")
    text.add(column.key)
    write(column)
  })
  text.add("}")
}

function writeList(text: BoundedText, length: number, write: (index: number) => void): void {
  text.add("[")
  for (let index = 0; index < length; index++) {
    if (index > 0) text.add(",")
    write(index)
  }
  text.add("]")
}

/** One output in every row. */
class Column {
  readonly count: number
  /** `"prob":` */
  readonly key: string
  readonly #data: TensorData["data"]
  readonly #shape: readonly number[]
  readonly #asBool: boolean

  constructor({ name, dtype }: TensorSpec, tensor: TensorData | undefined) {
    const [count = 0, ...shape] = tensor?.shape ?? []
    this.count = count
    this.key = `${JSON.stringify(name)}:`
    this.#data = tensor?.data ?? new Float32Array(0)
    this.#shape = shape
    this.#asBool = dtype === "bool"
    const at = notFiniteAt(this.#data)
    if (at < 0) return
    throw new RuntimeError("OUTPUT_INVALID", `output ${name}: element ${at} is ${this.#data[at]}, which JSON can't say`)
  }

  writeRow(text: BoundedText, row: number): void {
    this.#write(text, this.#shape, row * elementsIn(this.#shape))
  }

  #write(text: BoundedText, shape: readonly number[], offset: number): void {
    const [length, ...inner] = shape
    if (length === undefined) return text.add(this.#numbers(offset, offset + 1))
    if (inner.length === 0) return this.#writeNumbers(text, offset, length)
    const each = elementsIn(inner)
    writeList(text, length, (index) => this.#write(text, inner, offset + index * each))
  }

  #writeNumbers(text: BoundedText, offset: number, length: number): void {
    text.add("[")
    for (let at = 0; at < length; at += stretch) {
      if (at > 0) text.add(",")
      text.add(this.#numbers(offset + at, offset + Math.min(length, at + stretch)))
    }
    text.add("]")
  }

  /** JSON; whole numbers with all their digits, beyond 2^53 as well. */
  #numbers(from: number, to: number): string {
    const data = this.#data
    if (Array.isArray(data))
      return data
        .slice(from, to)
        .map((text) => JSON.stringify(text))
        .join(",")
    const numbers = data.subarray(from, to)
    return this.#asBool ? Array.from(numbers as Uint8Array, (value) => value !== 0).join(",") : numbers.join(",")
  }
}
