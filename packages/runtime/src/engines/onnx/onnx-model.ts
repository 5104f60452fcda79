/**
 * Rows in, rows out: the first dimension of every input and output is the batch.
 *
 *     x [n, 784] -> prob [n, 10]         rows are computed up to 256 at a time where they do not depend on each other
 *     x [1, 3, 224, 224] -> y [1, 1000]  one row at a time
 */
import { type DType, isDType, type TensorValues, valuesOf } from "../../dtypes.ts"
import { messageOf, refused, RuntimeError } from "../../errors.ts"
import type { OnnxArtifacts, OnnxTensor } from "../../formats/onnx/onnx.ts"
import { describe, elementsIn, type TensorData, type TensorSpec } from "../../tensors.ts"
import { EngineUnfit, EngineWrong, type LoadedModel } from "../engine.ts"
import { GrowingTensor, rowsOf } from "../rows.ts"
import { answersAgree, peakOf } from "./compare.ts"
import { fromHalf, toHalf } from "../../half.ts"
import { rehearsalQuestions } from "./questions.ts"
import type { OnnxRuntime, Provider, Session, Sessions, Tensor, ValueMetadata } from "./session.ts"

/** Rows that are computed at once. */
const maxChunk = 256
/** Numbers of the input of one chunk: 64 MiB. */
const chunkElements = 2 ** 24
/** |its answer − that of the processor| may be this much, times the largest value of the answer where that is more than 1. */
const precision = { cpu: 1e-5, webgpu: 1e-3, cuda: 1e-2 } as const

interface Signature {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** Rows of each call; `null` is any number. */
  readonly batch: number | null
}

/** Throws MODEL_REFUSED, EngineWrong, EngineUnfit. */
export async function openModel(
  ort: OnnxRuntime,
  { session, reference }: Sessions,
  artifacts: OnnxArtifacts,
  provider: Provider,
): Promise<LoadedModel> {
  const declared = signatureOf(session, artifacts)
  const ask = (on: Session) => (batch: readonly TensorData[]) => askSession(ort, on, declared, batch)
  const first = await rehearse(declared, ask(reference ?? session))
  const { outputs } = first
  if (reference !== null) await requireSame(first, ask(session), precision[provider])
  const chunk = declared.batch ?? (first.isRowwise ? maxChunk : Infinity)
  return {
    inputs: declared.inputs,
    outputs,
    rehearsal: first.report ?? (reference === null ? "is the reference" : "agrees with onnxruntime on the processor"),
    predict: (batch) => predictInChunks(declared, outputs, chunk, batch, ask(session)),
    dispose: () => session.release(),
  }
}

function signatureOf(session: Session, artifacts: OnnxArtifacts): Signature {
  const inputs = artifacts.inputs.map((declared) => specOf("input", declared, session.inputMetadata))
  const outputs = artifacts.outputs.map((declared) => specOf("output", declared, session.outputMetadata))
  if (inputs.length === 0) throw refused("the model has no inputs: it would answer everybody the same")
  // What outputs declare is often a guess: the rehearsal shows it.
  const batches = new Set(inputs.flatMap(({ shape }) => shape[0] ?? []))
  const [batch = null, other] = batches
  if (other !== undefined)
    throw refused(`its inputs differ in their first dimension: ${[...batches].join(", ")}`, {
      hint: "export it with the batch as the first dimension of every input and output",
    })
  const withoutBatch = (spec: TensorSpec): TensorSpec => ({ ...spec, shape: spec.shape.slice(1) })
  return { inputs: inputs.map(withoutBatch), outputs: outputs.map(withoutBatch), batch }
}

/** With the batch. */
function specOf(what: string, { name, shape }: OnnxTensor, metadata: readonly ValueMetadata[]): TensorSpec {
  const found = metadata.find((value) => value.name === name)
  const dtype = found?.type ?? null
  if (!isDType(dtype)) throw refused(`${what} ${JSON.stringify(name)} is of type ${dtype ?? "unknown"}, not supported`)
  const sizes = (found?.shape ?? []).map((size) => (typeof size === "number" ? size : null))
  if (sizes.length > 0) return { name, dtype, shape: sizes }
  if (shape === null && what === "output") return { name, dtype, shape: [null] } // the rehearsal shows its rank
  throw refused(
    `${what} ${JSON.stringify(name)} has no batch dimension${shape === null ? ": it declares no shape" : ""}`,
    {
      hint: "export it with the batch as the first dimension of every input and output",
    },
  )
}

interface Rehearsed {
  readonly question: readonly TensorData[] | null
  readonly answer: readonly TensorData[]
  readonly outputs: readonly TensorSpec[]
  /** Whether two rows are answered together as each by itself. */
  readonly isRowwise: boolean
  /** Why nothing was asked. */
  readonly report: string | null
}

/** Two rows at once, then each alone. Throws MODEL_REFUSED for answers without a batch. */
async function rehearse(
  { inputs, outputs, batch }: Signature,
  ask: (batch: readonly TensorData[]) => Promise<TensorData[]>,
): Promise<Rehearsed> {
  const rows = batch ?? 2
  let why = ""
  for (const question of rehearsalQuestions(inputs, rows)) {
    try {
      const answer = await ask(question)
      const settled = outputs.map((spec, index) => settleOutput(spec, answer[index], rows))
      return {
        question,
        answer,
        outputs: settled,
        report: null,
        isRowwise: await isRowwise(question, answer, rows, batch, ask),
      }
    } catch (error) {
      if (!(error instanceof RuntimeError) || error.code !== "INPUT_INVALID") throw error
      why = messageOf(error)
    }
  }
  return { question: null, answer: [], outputs, isRowwise: false, report: `not asked: ${why}` }
}

function settleOutput(spec: TensorSpec, answer: TensorData | undefined, rows: number): TensorSpec {
  const shape = answer?.shape ?? []
  if (shape[0] !== rows) {
    throw refused(`output ${JSON.stringify(spec.name)} answers ${rows} rows with ${describe(shape)}: it has no batch`, {
      hint: "export it with the batch as the first dimension of every output",
    })
  }
  return shape.length === spec.shape.length + 1 ? spec : { ...spec, shape: shape.slice(1).map(() => null) }
}

async function isRowwise(
  question: readonly TensorData[],
  answer: readonly TensorData[],
  rows: number,
  batch: number | null,
  ask: (batch: readonly TensorData[]) => Promise<TensorData[]>,
): Promise<boolean> {
  if (batch !== null) return false
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

async function requireSame(
  { question, answer }: Rehearsed,
  ask: (batch: readonly TensorData[]) => Promise<TensorData[]>,
  tolerance: number,
): Promise<void> {
  if (question === null) return
  let found: TensorData[]
  try {
    found = await ask(question)
  } catch (cause) {
    throw new EngineUnfit(messageOf(cause), { cause })
  }
  if (answersAgree(answer, found, tolerance * Math.max(1, peakOf(answer)))) return
  throw new EngineWrong("it answers a first question otherwise than onnxruntime on the processor")
}

async function predictInChunks(
  { inputs, batch }: Signature,
  outputs: readonly TensorSpec[],
  chunk: number,
  question: readonly TensorData[],
  ask: (batch: readonly TensorData[]) => Promise<TensorData[]>,
): Promise<TensorData[]> {
  const rows = question[0]?.shape[0] ?? 0
  if (batch !== null && rows % batch !== 0) {
    throw new RuntimeError("INPUT_INVALID", `this model answers ${batch} rows at a time, and was asked ${rows}`, {
      hint: "ask a multiple of it, or export the model with a batch of any size",
    })
  }
  const each = inputs.length === 0 ? 1 : Math.max(...question.map(({ shape }) => elementsIn(shape.slice(1))))
  const step = batch ?? (chunk === Infinity ? rows : Math.max(1, Math.min(chunk, Math.floor(chunkElements / each))))
  if (step >= rows) return requireBatch(await ask(question), outputs, rows)
  const answers = outputs.map(() => new GrowingTensor(rows))
  for (let start = 0; start < rows; start += step) {
    const part = await ask(question.map((tensor) => rowsOf(tensor, start, Math.min(rows, start + step))))
    part.forEach(({ shape, data }, index) => answers[index]?.add(shape, data))
  }
  return answers.map((answer) => answer.whole())
}

function requireBatch(answers: TensorData[], outputs: readonly TensorSpec[], rows: number): TensorData[] {
  answers.forEach(({ shape }, index) => {
    if (shape[0] === rows) return
    throw new RuntimeError(
      "OUTPUT_INVALID",
      `output ${outputs[index]?.name} answers ${rows} rows with ${describe(shape)}`,
    )
  })
  return answers
}

async function askSession(
  ort: OnnxRuntime,
  session: Session,
  { inputs, outputs }: Signature,
  batch: readonly TensorData[],
): Promise<TensorData[]> {
  const feeds = Object.fromEntries(
    inputs.map(({ name, dtype }, index) => [name, toTensor(ort, dtype, batch[index])] as const),
  )
  const found = await run(session, feeds)
  return await Promise.all(outputs.map(async ({ name, dtype }) => await fromTensor(name, dtype, found[name])))
}

async function run(
  session: Session,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Readonly<Record<string, Tensor>>> {
  try {
    return await session.run(feeds)
  } catch (cause) {
    throw new RuntimeError("INPUT_INVALID", "the model can't compute this question", {
      cause,
      hint: "ask with another shape, or other values",
    })
  }
}

function toTensor(ort: OnnxRuntime, dtype: DType, tensor: TensorData | undefined): Tensor {
  const { shape, data } = tensor ?? { shape: [0], data: valuesOf(dtype, 0) }
  return new ort.Tensor(dtype, dtype === "float16" ? toHalf(data as Float32Array) : data, shape)
}

async function fromTensor(name: string, dtype: DType, tensor: Tensor | undefined): Promise<TensorData> {
  if (tensor === undefined || tensor.type !== dtype)
    throw new RuntimeError("OUTPUT_INVALID", `output ${name} is not of type ${dtype}`)
  const data = await tensor.getData()
  return {
    shape: tensor.dims,
    data: dtype === "float16" ? fromHalf(data as ArrayBufferView) : owned(data as TensorValues),
  }
}

// What goes to another thread is moved there: a buffer of its own, which nothing native looks at.
function owned(data: TensorValues): TensorValues {
  return data.slice()
}
