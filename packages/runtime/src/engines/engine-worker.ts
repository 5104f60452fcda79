/**
 * The thread of one model: it opens verified bytes on the first engine that will, then answers one batch after the other.
 * An endless loop or a crash in here takes this thread, not the server.
 */
import { parentPort } from "node:worker_threads"
import { type ErrorReport, messageOf, reportError, RuntimeError } from "../errors.ts"
import { answerBody } from "./answer.ts"
import { EngineLost, EngineUnfit } from "./engine.ts"
import type { LoadedModel } from "./layers-model.ts"
import type { Call, LoadReply, LoadRequest, Question, Reply } from "./messages.ts"
import { selectEngine } from "./select.ts"

// Libraries chat; stdout is the caller's data. (Reading a worker's streams in the main thread would keep it from ever
// ending, so the words stop here.)
for (const method of ["debug", "error", "info", "log", "warn"] as const) console[method] = () => undefined

let model: LoadedModel | null = null
let line: Promise<void> = Promise.resolve() // one at a time: a device shared by two batches serves neither faster

parentPort?.on("message", (call: Call) => {
  line = line.then(() => answer(call))
})

/** Part of every Node, but declared only in the DOM's types. */
declare const WebAssembly: { readonly RuntimeError: new () => Error }

async function answer({ id, request }: Call): Promise<void> {
  try {
    if (request.kind === "load") return send({ id, value: await load(id, request) })
    await answerQuestion(id, request)
  } catch (error) {
    send({ id, error: request.kind === "load" ? loadFailure(error) : predictFailure(error) })
    if (request.kind !== "load" && isLost(error)) throw error // ends the thread
  }
}

async function answerQuestion(id: number, question: Question): Promise<void> {
  if (!model) throw new RuntimeError("UNAVAILABLE", "no model is loaded")
  if (question.kind === "answer") {
    const value = await answerBody(model, question)
    return send({ id, value }, [value.buffer])
  }
  const value = await model.predict(question.inputs)
  send(
    { id, value },
    value.map(({ data }) => data.buffer),
  )
}

function loadFailure(error: unknown): ErrorReport {
  return reportError(error, "MODEL_REFUSED", "the model can't be loaded, for a reason that is no error of ours")
}

// The model answered a rehearsal, so it is this input (say, a word outside the vocabulary), unless memory ran out.
function predictFailure(error: unknown): ErrorReport {
  if (!isOutOfMemory(error)) return reportError(error, "INPUT_INVALID", "the engine can't compute this question")
  const message = "the engine has no memory for this question"
  return { code: "TOO_LARGE", message, hint: "ask with fewer rows, or smaller ones", cause: messageOf(error) }
}

function isOutOfMemory(error: unknown): boolean {
  const noRoom = error instanceof RangeError && /allocation failed|Invalid (typed )?array length/i.test(error.message)
  return noRoom || isLost(error)
}

// After an abort inside WebAssembly its memory is as unknown as after a full one, and it never shrinks again.
function isLost(error: unknown): boolean {
  return error instanceof EngineLost || error instanceof EngineUnfit || error instanceof WebAssembly.RuntimeError
}

function send(reply: Reply, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(reply, transfer)
}

async function load(id: number, request: LoadRequest): Promise<LoadReply> {
  const selected = await selectEngine(request, (stage) => send({ id, stage }))
  model = selected.model
  return { engine: selected.report, inputs: model.inputs, outputs: model.outputs }
}
