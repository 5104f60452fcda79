/**
 * The thread of one model: it opens verified bytes on the first engine that will, then answers one batch after the other.
 * An endless loop or a crash in here takes this thread, not the server.
 */
import { Moved, SerialQueue, serveOrders } from "@weighlock/node/thread"
import { buffersOf } from "../dtypes.ts"
import { asRuntimeError, RuntimeError } from "../errors.ts"
import { answerBody } from "./answer.ts"
import { engines } from "./choose.ts"
import type { LoadedModel, Probe } from "./engine.ts"
import { isLost, isOutOfMemory } from "./lost-memory.ts"
import type {
  AnswerReply,
  CheckRequest,
  LoadReply,
  LoadRequest,
  LoadStage,
  PredictReply,
  ProbeRequest,
  Question,
} from "./messages.ts"
import { selectEngine } from "./select.ts"

// Libraries chat; stdout is the caller's data.
for (const method of ["debug", "error", "info", "log", "warn"] as const) console[method] = () => undefined

let model: LoadedModel | null = null
let isThreadLost = false
const queue = new SerialQueue() // a device shared by two batches serves neither faster

serveOrders((request: LoadRequest | CheckRequest | ProbeRequest | Question, tell: (stage: LoadStage) => void) =>
  queue.run<unknown>(() => {
    if (request.kind === "load") return load(request, tell)
    if (request.kind === "check") return check(request)
    return request.kind === "probe" ? probe(request) : ask(request)
  }),
)

async function load(request: LoadRequest, tell: (stage: LoadStage) => void): Promise<LoadReply> {
  try {
    const selected = await selectEngine(request, tell)
    model = selected.model
    return { engine: selected.report, inputs: model.inputs, outputs: model.outputs }
  } catch (error) {
    throw loadFailure(error)
  }
}

async function probe({ engine }: ProbeRequest): Promise<Probe> {
  const found = engines.find(({ name }) => name === engine)
  if (!found) throw new RuntimeError("USAGE", `no engine is called ${JSON.stringify(engine)}`)
  return await found.probe()
}

async function check(request: CheckRequest): Promise<null> {
  try {
    const { openJs } = await import("./tfjs/js.ts") // where variables begin as pages that are never touched
    const { checkLayersModel } = await import("./tfjs/layers-model.ts")
    const opened = await openJs()
    if (!opened.available) throw new RuntimeError("DEVICE_UNAVAILABLE", opened.why)
    await checkLayersModel(opened, request)
    return null
  } catch (error) {
    throw loadFailure(error)
  }
}

function loadFailure(error: unknown): RuntimeError {
  return asRuntimeError(error, "MODEL_REFUSED", "the model can't be loaded, for a reason that is no error of ours")
}

async function ask(question: Question): Promise<Moved<PredictReply | AnswerReply>> {
  if (isThreadLost) return await new Promise(() => undefined) // the end of the thread is the answer
  try {
    return await answer(question)
  } catch (error) {
    if (isLost(error)) endThread(error)
    throw predictFailure(error)
  }
}

async function answer(question: Question): Promise<Moved<PredictReply | AnswerReply>> {
  if (!model) throw new RuntimeError("UNAVAILABLE", "no model is loaded")
  if (question.kind === "answer") {
    const body = await answerBody(model, question)
    return new Moved(body, [body.buffer])
  }
  const outputs = await model.predict(question.inputs)
  return new Moved(outputs, buffersOf(outputs.map(({ data }) => data)))
}

/** Once the answer is on its way. */
function endThread(error: unknown): void {
  isThreadLost = true
  setImmediate(() => {
    throw error
  })
}

// The model answered a rehearsal, so it is this input (say, a word outside the vocabulary), unless memory ran out.
function predictFailure(error: unknown): RuntimeError {
  if (!isOutOfMemory(error)) return asRuntimeError(error, "INPUT_INVALID", "the engine can't compute this question")
  return new RuntimeError("TOO_LARGE", "the engine has no memory for this question", {
    cause: error,
    hint: "ask with fewer rows, or smaller ones",
  })
}
