/**
 * The thread of one model: it opens verified bytes on the first engine that will, then answers one batch after the other.
 * An endless loop or a crash in here takes this thread, not the server.
 */
import { Moved, SerialQueue, serveOrders } from "@weighlock/node/thread"
import { asRuntimeError, RuntimeError } from "../errors.ts"
import { answerBody } from "./answer.ts"
import { EngineLost, EngineUnfit } from "./engine.ts"
import { checkLayersModel, type LoadedModel } from "./layers-model.ts"
import type {
  AnswerReply,
  CheckRequest,
  LoadReply,
  LoadRequest,
  LoadStage,
  PredictReply,
  Question,
} from "./messages.ts"
import { selectEngine } from "./select.ts"

// Libraries chat; stdout is the caller's data.
for (const method of ["debug", "error", "info", "log", "warn"] as const) console[method] = () => undefined

let model: LoadedModel | null = null
let isThreadLost = false
const queue = new SerialQueue() // a device shared by two batches serves neither faster

serveOrders((request: LoadRequest | CheckRequest | Question, tell: (stage: LoadStage) => void) =>
  queue.run<unknown>(() => {
    if (request.kind === "load") return load(request, tell)
    return request.kind === "check" ? check(request) : ask(request)
  }),
)

/** Part of every Node, but declared only in the DOM's types. */
declare const WebAssembly: { readonly RuntimeError: new () => Error }

async function load(request: LoadRequest, tell: (stage: LoadStage) => void): Promise<LoadReply> {
  try {
    const selected = await selectEngine(request, tell)
    model = selected.model
    return { engine: selected.report, inputs: model.inputs, outputs: model.outputs }
  } catch (error) {
    throw loadFailure(error)
  }
}

async function check(request: CheckRequest): Promise<null> {
  try {
    const { cpuEngine } = await import("./cpu.ts") // where variables begin as pages that are never touched
    const opened = await cpuEngine.open()
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
  return new Moved(
    outputs,
    outputs.map(({ data }) => data.buffer),
  )
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

function isOutOfMemory(error: unknown): boolean {
  const noRoom = error instanceof RangeError && /allocation failed|Invalid (typed )?array length/i.test(error.message)
  return noRoom || isLost(error)
}

// After an abort inside WebAssembly its memory is as unknown as after a full one, and it never shrinks again.
function isLost(error: unknown): boolean {
  return error instanceof EngineLost || error instanceof EngineUnfit || error instanceof WebAssembly.RuntimeError
}
