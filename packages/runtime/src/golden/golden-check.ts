/** Asks an engine the golden example. Its answer must be the publisher's, number by number, within the tolerance. */
import type { JsonValue } from "@weighlock/manifest"
import { messageOf, refused, RuntimeError } from "../errors.ts"
import { EngineWrong, type LoadedModel } from "../engines/engine.ts"
import { packQuestion, unpackAnswers } from "../questions.ts"
import type { OutputValue, TensorData } from "../tensors.ts"
import { type GoldenExample, predictionOf } from "./golden-example.ts"
import { goldenInput, goldenOutput } from "./golden-files.ts"

/** Throws EngineWrong for other numbers, MODEL_REFUSED for a question or an answer of a form this model does not have. */
export async function checkGolden(model: LoadedModel, example: GoldenExample): Promise<void> {
  const { instances, predictions, tolerance } = example
  const answers = unpack(model, await ask(model, pack(model, example)), instances.length)
  answers.forEach((answer, row) =>
    compare(predictionOf(model.outputs, answer), predictions[row], tolerance, `[${row}]`),
  )
}

function pack({ inputs }: LoadedModel, { instances }: GoldenExample): TensorData[] {
  try {
    return packQuestion(inputs, instances)
  } catch (cause) {
    throw refused(`${goldenInput} is no question to this model: ${messageOf(cause)}`, { cause })
  }
}

async function ask(model: LoadedModel, batch: readonly TensorData[]): Promise<TensorData[]> {
  try {
    return await model.predict(batch)
  } catch (cause) {
    if (!(cause instanceof RuntimeError)) throw cause
    if (cause.code !== "INPUT_INVALID") throw notAnswered(cause)
    throw refused(`${goldenInput} is no question to this model: ${cause.message}`, { cause })
  }
}

function unpack({ outputs }: LoadedModel, tensors: readonly TensorData[], count: number) {
  try {
    return unpackAnswers(outputs, tensors, count)
  } catch (cause) {
    throw notAnswered(cause)
  }
}

function notAnswered(cause: unknown): EngineWrong {
  return new EngineWrong(`it does not answer the golden example: ${messageOf(cause)}`, { cause })
}

type Expected = JsonValue | undefined
type Found = OutputValue | Readonly<Record<string, OutputValue>>

function compare(found: Found, expected: Expected, tolerance: number, at: string): void {
  if (Array.isArray(found)) compareLists(found, expected, tolerance, at)
  else if (typeof found === "object") compareByName(found, expected, tolerance, at)
  else if (typeof found !== "bigint" && typeof found !== typeof expected) throw otherForm(expected, at)
  else if (!isClose(found, expected, tolerance)) {
    throw new EngineWrong(
      `it answers ${found} to the golden example at ${at}, where the publisher got ${JSON.stringify(expected)}`,
    )
  }
}

function compareLists(found: readonly OutputValue[], expected: Expected, tolerance: number, at: string): void {
  if (!Array.isArray(expected) || expected.length !== found.length) throw otherForm(expected, at)
  found.forEach((value, index) => compare(value, expected[index], tolerance, `${at}[${index}]`))
}

function compareByName(
  found: Readonly<Record<string, OutputValue>>,
  expected: Expected,
  tolerance: number,
  at: string,
): void {
  if (typeof expected !== "object" || expected === null || Array.isArray(expected)) throw otherForm(expected, at)
  const names = Object.keys(found)
  const same = names.length === Object.keys(expected).length && names.every((name) => Object.hasOwn(expected, name))
  if (!same) throw otherForm(expected, at)
  for (const [name, value] of Object.entries(found)) compare(value, expected[name], tolerance, `${at}.${name}`)
}

function isClose(found: Exclude<OutputValue, OutputValue[]>, expected: Expected, tolerance: number): boolean {
  if (typeof found === "bigint") return String(found) === expected
  if (typeof found !== "number" || typeof expected !== "number") return found === expected
  return Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected))
}

function wordFor(expected: Expected): string {
  if (expected === null) return "null"
  return typeof expected === "object" ? "an object" : `a ${typeof expected}`
}

function otherForm(expected: Expected, at: string): RuntimeError {
  const what = Array.isArray(expected) ? `a list of ${expected.length}` : wordFor(expected)
  return refused(`${goldenOutput} has ${what} at ${at}, which is not the form of this model's answer`)
}
