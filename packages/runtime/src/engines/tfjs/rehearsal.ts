/**
 * Before a model answers anybody, its engine is asked one question and has to answer as plain JavaScript does.
 *
 *     agrees with js
 *     not compared with js: it would take too long          more than a twentieth of the load, or 100 ms
 */
import { messageOf, refused, RuntimeError } from "../../errors.ts"
import type { WeightValues } from "../../formats/weights.ts"
import type { TensorData } from "../../tensors.ts"
import { EngineUnfit, EngineWrong } from "../engine.ts"
import { type JsReference, TooSlow } from "./js-reference.ts"

export interface Rehearsal {
  /** One for a model of fixed sizes, else several: the first that `js` can answer is the question. */
  readonly questions: readonly Question[]
  /** Multiplications of one question, about. */
  readonly work: number
  /** Milliseconds that plain JavaScript may take. */
  readonly budget: number
}

type Question = readonly TensorData[]
type Ask = (question: Question) => Promise<TensorData[]>

/** What plain JavaScript answers. */
export type Expected =
  | { readonly question: Question; readonly answer: readonly TensorData[] | null; readonly peak: number }
  /** Nothing to compare with: why, and a question all the same. */
  | { readonly question: Question | undefined; readonly why: string; readonly failure?: unknown }

/** Multiplications that plain JavaScript does in a millisecond, about. */
const speed = 1e5
const tooLong = "it would take too long"

export async function askReference(rehearsal: Rehearsal, reference: JsReference, ask: Ask): Promise<Expected> {
  const { questions, work, budget } = rehearsal
  const only = questions.length === 1 ? questions[0] : undefined
  if (work > budget * speed) return { question: only, why: tooLong }
  let failure: unknown
  for (const question of questions) {
    try {
      return { question, ...(await reference.measure(budget, () => orNothing(ask(question)))) }
    } catch (error) {
      if (error instanceof TooSlow) return { question: only, why: tooLong }
      if (!(error instanceof RuntimeError) || error.code !== "INPUT_INVALID") throw error
      failure = error
    }
  }
  return { question: only, why: messageOf(failure), failure }
}

/** What came of it, for people. Throws EngineWrong, EngineUnfit; MODEL_REFUSED for a model that nothing computes. */
export async function rehearse(expected: Expected, precision: number, ask: Ask): Promise<string> {
  if ("why" in expected) return await rehearseAlone(expected, ask)
  const found = await answerOf(expected.question, ask)
  const { answer, peak } = expected
  if (answer === null || found === null) requireSameSilence(answer, found)
  else answer.forEach((tensor, output) => requireEqual(tensor, found[output], precision * Math.max(1, peak)))
  return "agrees with js"
}

/** As `rehearse`, for plain JavaScript itself: it has been asked. Throws MODEL_REFUSED for a model that it can't compute. */
export function rehearseReference(expected: Expected): string {
  if (!("why" in expected)) return "is js"
  const { question, failure, why } = expected
  if (question && failure !== undefined) throw neverComputed(failure)
  return `not asked: ${why}`
}

// js has answered this question, so it is the engine that can't.
async function answerOf(question: Question, ask: Ask): Promise<readonly TensorData[] | null> {
  try {
    return await orNothing(ask(question))
  } catch (error) {
    if (error instanceof RuntimeError) throw new EngineUnfit(messageOf(error), { cause: error })
    throw error
  }
}

function requireSameSilence(expected: readonly TensorData[] | null, found: readonly TensorData[] | null): void {
  if (expected === found) return
  throw new EngineWrong(
    `it finds ${found ? "only finite values" : "a value that is not finite"} inside, where js does not`,
  )
}

function requireEqual({ data, shape }: TensorData, found: TensorData | undefined, tolerance: number): void {
  if (found?.shape.join() !== shape.join()) throw new EngineWrong("its answer has another shape than that of js")
  const at = (data as WeightValues).findIndex(
    (value, index) => !(Math.abs(value - Number(found.data[index])) <= tolerance),
  )
  if (at >= 0) throw new EngineWrong(`it answers ${found.data[at]} to a first question, where js answers ${data[at]}`)
}

// Still asked, so that what it can't compute shows now and not at the first caller's.
async function rehearseAlone({ question, why }: Extract<Expected, { why: string }>, ask: Ask): Promise<string> {
  try {
    if (question) await orNothing(ask(question))
  } catch (error) {
    throw error instanceof RuntimeError && error.code === "INPUT_INVALID" ? neverComputed(error) : error
  }
  return `not compared with js: ${why}`
}

function neverComputed(cause: unknown): RuntimeError {
  return refused(`not even a first question can be computed: ${messageOf(cause)}`, { cause })
}

/** `null` where the answer would mean nothing, since some value inside is not finite. */
async function orNothing(asked: Promise<TensorData[]>): Promise<TensorData[] | null> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof RuntimeError && error.code === "OUTPUT_INVALID") return null
    throw error
  }
}
