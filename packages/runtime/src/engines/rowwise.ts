/**
 * Models that take whole batches and say nothing of their rows: the first dimension of every input and output is the batch.
 *
 *     x [any, 784] -> prob [any, 10]     rows are computed up to 256 at a time, where they do not depend on each other
 *     x [1, 3, 224, 224] -> y [1, 1000]  one row at a time
 */
import { messageOf, refused, RuntimeError } from "../errors.ts"
import { describe, elementsIn, type TensorData, type TensorSpec } from "../tensors.ts"
import { answersAgree, peakOf } from "./compare-answers.ts"
import { rehearsalQuestions } from "./first-questions.ts"
import { GrowingTensor, rowsOf } from "./rows.ts"

/** Rows that are computed at once. */
const maxChunk = 256
/** Numbers of the input of one chunk: 64 MiB. */
const chunkElements = 2 ** 24

/** Shapes leave the batch out. */
export interface Signature {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** Rows of each call; `null` is any number. */
  readonly batch: number | null
}

export type Ask = (batch: readonly TensorData[]) => Promise<TensorData[]>

export interface Rehearsed {
  readonly question: readonly TensorData[] | null
  readonly answer: readonly TensorData[]
  /** With the ranks that the answer has. */
  readonly outputs: readonly TensorSpec[]
  /** Whether two rows are answered together as each by itself. */
  readonly isRowwise: boolean
  /** Why nothing was asked; `null` where something was. */
  readonly why: string | null
}

/** `shapes` have the batch. Throws MODEL_REFUSED where a tensor has none, or inputs have different ones. */
export function signatureOf(inputs: readonly TensorSpec[], outputs: readonly TensorSpec[]): Signature {
  if (inputs.length === 0) throw refused("the model has no inputs: it would answer everybody the same")
  for (const { name, shape } of [...inputs, ...outputs])
    if (shape.length === 0) throw refused(`${JSON.stringify(name)} has no batch dimension`, exportHint)
  // What outputs declare is often a guess: the rehearsal shows it.
  const [batch = null, other] = new Set(inputs.flatMap(({ shape }) => shape[0] ?? []))
  if (other !== undefined)
    throw refused(`its inputs differ in their first dimension: ${batch} and ${other}`, exportHint)
  const withoutBatch = (spec: TensorSpec): TensorSpec => ({ ...spec, shape: spec.shape.slice(1) })
  return { inputs: inputs.map(withoutBatch), outputs: outputs.map(withoutBatch), batch }
}

const exportHint = { hint: "export it with the batch as the first dimension of every input and output" }

/** Two rows at once, then each alone. Throws MODEL_REFUSED for answers without a batch. */
export async function rehearseRows({ inputs, outputs, batch }: Signature, ask: Ask): Promise<Rehearsed> {
  const rows = batch ?? 2
  let why = "it has no question"
  for (const question of rehearsalQuestions(inputs, rows)) {
    try {
      const answer = await ask(question)
      const settled = outputs.map((spec, index) => settleOutput(spec, answer[index], rows))
      const rowwise = batch === null && (await isRowwise(question, answer, rows, ask))
      return { question, answer, outputs: settled, why: null, isRowwise: rowwise }
    } catch (error) {
      if (!(error instanceof RuntimeError) || !["INPUT_INVALID", "OUTPUT_INVALID"].includes(error.code)) throw error
      why = messageOf(error)
    }
  }
  return { question: null, answer: [], outputs, isRowwise: false, why }
}

function settleOutput(spec: TensorSpec, answer: TensorData | undefined, rows: number): TensorSpec {
  const shape = answer?.shape ?? []
  if (shape[0] !== rows)
    throw refused(
      `output ${JSON.stringify(spec.name)} answers ${rows} rows with ${describe(shape)}: it has no batch`,
      exportHint,
    )
  return shape.length === spec.shape.length + 1 ? spec : { ...spec, shape: shape.slice(1).map(() => null) }
}

async function isRowwise(
  question: readonly TensorData[],
  answer: readonly TensorData[],
  rows: number,
  ask: Ask,
): Promise<boolean> {
  try {
    for (let row = 0; row < rows; row++) {
      const alone = await ask(question.map((tensor) => rowsOf(tensor, row, row + 1)))
      const together = answer.map((tensor) => rowsOf(tensor, row, row + 1))
      if (!answersAgree(together, alone, 1e-4 * Math.max(1, peakOf(together)))) return false
    }
    return true
  } catch {
    return false // it takes two rows and not one
  }
}

/** Throws INPUT_INVALID, OUTPUT_INVALID. */
export async function predictRows(
  { batch }: Signature,
  { outputs, isRowwise: rowwise }: Rehearsed,
  question: readonly TensorData[],
  ask: Ask,
): Promise<TensorData[]> {
  const rows = question[0]?.shape[0] ?? 0
  if (batch !== null && rows % batch !== 0)
    throw new RuntimeError("INPUT_INVALID", `this model answers ${batch} rows at a time, and was asked ${rows}`, {
      hint: "ask a multiple of it, or export the model with a batch of any size",
    })
  const step = batch ?? (rowwise ? chunkOf(question) : rows)
  if (step >= rows) return requireBatch(await ask(question), outputs, rows)
  const answers = outputs.map(() => new GrowingTensor(rows))
  for (let start = 0; start < rows; start += step) {
    const part = await ask(question.map((tensor) => rowsOf(tensor, start, Math.min(rows, start + step))))
    part.forEach(({ shape, data }, index) => answers[index]?.add(shape, data))
  }
  return answers.map((answer) => answer.whole())
}

function chunkOf(question: readonly TensorData[]): number {
  const each = Math.max(1, ...question.map(({ shape }) => elementsIn(shape.slice(1))))
  return Math.max(1, Math.min(maxChunk, Math.floor(chunkElements / each)))
}

function requireBatch(answers: TensorData[], outputs: readonly TensorSpec[], rows: number): TensorData[] {
  answers.forEach(({ shape }, index) => {
    if (shape[0] === rows) return
    const what = `output ${outputs[index]?.name} answers ${rows} rows with ${describe(shape)}`
    throw new RuntimeError("OUTPUT_INVALID", what)
  })
  return answers
}
