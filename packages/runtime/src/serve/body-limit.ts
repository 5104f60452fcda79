/**
 * The most bytes a body for this model can make use of: what the rows that are answered at once take as JSON, with each number
 * and each bracket on a line of its own, indented by up to eight spaces a level, as Python's `json.dumps(x, indent=8)` does.
 *
 *     {                                    3 numbers a row, 16384 rows: 16384 × (3 × 59 + …) bytes, about 5 MiB
 *             "instances": [
 *                     [
 *                             -1.2345678901234567e-308,
 *
 * An input with a dimension left open can be of any size, and a string of any length: there only the general limit holds.
 */
import type { Model } from "../model.ts"
import { elementsIn, type TensorSpec } from "../tensors.ts"

/** 17 digits, sign, point, exponent, and a comma. */
const bytesPerNumber = 25
const bytesAround = 1024
/** Of what is not in a row: the body, and the list of rows. */
const depthOfRows = 2

export function bodyLimit({ inputs }: Pick<Model, "inputs">, maxRows: number, maxBody: number): number {
  const row = inputs.reduce((total, input) => total + inputBytes(input), bracketBytes(depthOfRows))
  return Math.min(maxBody, maxRows * row + bytesAround)
}

/** In a row that names its inputs: one level deeper than in one that does not. */
function inputBytes({ name, shape, dtype }: TensorSpec): number {
  if (shape.includes(null) || dtype === "string") return Infinity
  const sizes = shape.map(Number)
  const outermost = depthOfRows + 1
  const lists = sizes.reduce(
    (total, _, level) => total + elementsIn(sizes.slice(0, level)) * bracketBytes(outermost + level),
    0,
  )
  const numbers = elementsIn(sizes) * (lineBytes(outermost + sizes.length) + bytesPerNumber)
  return lineBytes(outermost) + Buffer.byteLength(JSON.stringify(name)) + ": ".length + lists + numbers
}

/** Both, and a comma. */
function bracketBytes(depth: number): number {
  return 2 * (lineBytes(depth) + 1) + 1
}

/** The break, of two bytes on Windows, and what stands before anything is said. */
function lineBytes(depth: number): number {
  return 2 + 8 * depth
}
