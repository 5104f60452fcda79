/**
 * What real Keras answers to the cases (make-answers.py wrote it), and when an engine's answer is right.
 *
 *     right: |ours - theirs| <= 1e-5 * max(1, |theirs|), every number of every output, and the same shapes
 */
import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"

export interface Tensor {
  readonly shape: readonly number[]
  readonly values: ArrayLike<number>
}

export interface Answers {
  /** SHA-256 of the cases that were asked, as cases.ts writes them. */
  readonly cases: string
  /** By the case's id; a string says why Keras has no answer. */
  readonly of: ReadonlyMap<string, readonly Tensor[] | string>
}

export function readAnswers(file: URL = new URL("answers.bin.gz", import.meta.url)): Answers {
  const bytes = gunzipSync(readFileSync(file))
  const end = bytes.indexOf(0x0a)
  const head = JSON.parse(bytes.subarray(0, end).toString()) as {
    cases: string
    answers: Record<string, string | number[][]>
  }
  const numbers = joinPlanes(bytes.subarray(end + 1))
  let at = 0
  const entries = Object.entries(head.answers).map(([id, found]): [string, readonly Tensor[] | string] => {
    if (typeof found === "string") return [id, found]
    return [
      id,
      found.map((shape) => {
        const count = shape.reduce((product, size) => product * size, 1)
        return { shape, values: numbers.subarray(at, (at += count)) }
      }),
    ]
  })
  if (at !== numbers.length) throw new Error(`the answers hold ${numbers.length} numbers, their shapes ${at}`)
  return { cases: head.cases, of: new Map(entries) }
}

// All first bytes, then all second ones, …: like beside like compresses.
function joinPlanes(planes: Uint8Array): Float32Array {
  const count = planes.length / 4
  const joined = new Uint8Array(planes.length)
  for (let index = 0; index < count; index++) {
    for (let byte = 0; byte < 4; byte++) joined[index * 4 + byte] = planes[byte * count + index] ?? 0
  }
  return new Float32Array(joined.buffer)
}

export const tolerance = 1e-5

/** What is wrong with an answer, or `null`. */
export function difference(ours: readonly Tensor[], theirs: readonly Tensor[]): string | null {
  if (ours.length !== theirs.length) return `${ours.length} outputs, not ${theirs.length}`
  for (const [index, wanted] of theirs.entries()) {
    const found = ours[index]
    if (found === undefined || found.shape.join() !== wanted.shape.join()) {
      return `output ${index} has the shape [${found?.shape.join()}], not [${wanted.shape.join()}]`
    }
    for (let at = 0; at < wanted.values.length; at++) {
      const [our, their] = [found.values[at] ?? NaN, wanted.values[at] ?? NaN]
      if (!(Math.abs(our - their) <= tolerance * Math.max(1, Math.abs(their)))) {
        return `output ${index}, number ${at}: ${our}, not ${their}`
      }
    }
  }
  return null
}
