/**
 * The most bytes a body for this model can make use of: what the rows that are answered at once take as JSON.
 *
 *     3 numbers a row, 16384 rows: 16384 × (3 × 32 + 24) bytes + 1 KiB, about 1.9 MiB
 *
 * 32 bytes a number are room for 17 digits, sign, exponent and a line of its own; 8 bytes are for each pair of brackets.
 * An input with a dimension left open can be of any size: there only the general limit holds.
 */
import type { Model } from "../model.ts"
import { elementsIn, type TensorSpec } from "../tensors.ts"

const bytesPerNumber = 32
const bytesPerList = 8
const bytesAround = 1024

export function bodyLimit({ inputs }: Pick<Model, "inputs">, maxRows: number, maxBody: number): number {
  const row = inputs.reduce((total, input) => total + inputBytes(input), 2 * bytesPerList)
  return Math.min(maxBody, maxRows * row + bytesAround)
}

function inputBytes({ name, shape }: TensorSpec): number {
  if (shape.includes(null)) return Infinity
  const sizes = shape.map(Number)
  const lists = sizes.reduce((total, _, depth) => total + elementsIn(sizes.slice(0, depth)), 0)
  const nameBytes = Buffer.byteLength(JSON.stringify(name)) + bytesPerList
  return elementsIn(sizes) * bytesPerNumber + lists * bytesPerList + nameBytes
}
