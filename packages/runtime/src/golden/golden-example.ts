/** Reads and writes golden examples. What is malformed is MODEL_REFUSED, with the file and what is wrong in it. */
import { type JsonValue, parseJson } from "@weighlock/manifest/base"
import { messageOf, refused } from "../errors.ts"
import { asArray, asFinite, asObject } from "../formats/json-fields.ts"
import { readInstances } from "../predict-body.ts"
import type { Answer, Instance } from "../questions.ts"

import type { TensorSpec } from "../tensors.ts"
import { type GoldenFiles, goldenInput, goldenOutput, maxGoldenBytes } from "./golden-files.ts"

export interface GoldenExample {
  readonly instances: readonly Instance[]
  /** One per instance: a tensor, or the tensors by output name when there are several. */
  readonly predictions: readonly JsonValue[]
  /** |answered − expected| may be this much, times |expected| where that is more than 1. */
  readonly tolerance: number
}

/** What `publish --golden` writes, and what an output.json without one means. */
export const defaultTolerance = 1e-4
/** A wider one is shown as "loose": it would let a wrong answer through. */
export const looseTolerance = 1e-2

/** Throws MODEL_REFUSED. */
export function openGolden({ input, output }: GoldenFiles): GoldenExample {
  const instances = openInput(input)
  const { predictions, tolerance = defaultTolerance, ...more } = asObject(parse(output, goldenOutput), goldenOutput)
  const [unknown] = Object.keys(more)
  if (unknown !== undefined) throw refused(`${goldenOutput} has the unknown field ${JSON.stringify(unknown)}`)
  const rows = asArray(predictions, `predictions of ${goldenOutput}`, maxGoldenBytes)
  if (rows.length !== instances.length) {
    throw refused(`${goldenOutput} has ${rows.length} predictions, ${goldenInput} ${instances.length} instances`)
  }
  return { instances, predictions: rows, tolerance: openTolerance(tolerance) }
}

/** The instances of a predict body, in either of its forms. Throws MODEL_REFUSED. */
export function openInput(input: Uint8Array): readonly Instance[] {
  try {
    return readInstances(input)
  } catch (cause) {
    throw refused(`${goldenInput}: ${messageOf(cause)}`, { cause })
  }
}

/** The bytes of an output.json. */
export function writeOutput(outputs: readonly TensorSpec[], answers: readonly Answer[]): Uint8Array {
  const predictions = answers.map((answer) => predictionOf(outputs, answer))
  // What is beyond 2^53 stands there as text: JSON's readers would round it.
  const exact = (_: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value)
  return Buffer.from(`${JSON.stringify({ predictions, tolerance: defaultTolerance }, exact)}\n`)
}

/** As a row of `predictions`: a single output is never named. */
export function predictionOf(outputs: readonly TensorSpec[], answer: Answer): Answer | Answer[string] {
  const [only, ...more] = outputs
  return only !== undefined && more.length === 0 ? (answer[only.name] ?? []) : answer
}

function openTolerance(value: JsonValue): number {
  const tolerance = asFinite(value, `tolerance of ${goldenOutput}`)
  if (tolerance < 0) throw refused(`tolerance of ${goldenOutput} is negative`)
  return tolerance
}

function parse(bytes: Uint8Array, name: string): JsonValue {
  try {
    return parseJson(bytes, name)
  } catch (cause) {
    throw refused(messageOf(cause), { cause })
  }
}
