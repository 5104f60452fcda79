/**
 * The main thread's end of an engine's thread: a bounded line of calls, and one clear end.
 */
import { Worker } from "node:worker_threads"
import { type ErrorReport, reviveError, RuntimeError } from "../errors.ts"
import type {
  AnswerReply,
  AnswerRequest,
  LoadReply,
  LoadRequest,
  PredictReply,
  PredictRequest,
  Question,
  Reply,
} from "./messages.ts"

/** Calls that may wait; the next is refused at once. */
const maxWaiting = 64

type Answered = LoadReply | PredictReply | AnswerReply

interface Waiting {
  readonly resolve: (value: Answered) => void
  readonly reject: (error: Error) => void
}

export class WorkerLink {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 0
  #ended: RuntimeError | null = null

  constructor() {
    // tsc does not rewrite this URL, so it takes our own extension: .ts from source, .js when packed.
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"
    const file = new URL(`./engine-worker.${extension}`, import.meta.url)
    // Native code and Node itself may still write: not to our streams, and these are left unread.
    this.#worker = new Worker(file, { name: "weighlock-engine", execArgv: [], stdout: true, stderr: true })
    this.#worker.on("message", (reply: Reply) => this.#settle(reply))
    this.#worker.on("messageerror", (cause) => this.#end("answered what can't be read", cause))
    this.#worker.on("error", (cause) =>
      this.#end(`failed: ${cause instanceof Error ? cause.message : "no reason"}`, cause),
    )
    this.#worker.on("exit", () => this.#end("has ended"))
  }

  /** Why the thread takes no more calls; `null` while it does. */
  get ended(): RuntimeError | null {
    return this.#ended
  }

  load(request: LoadRequest): Promise<LoadReply> {
    const buffers = request.files.map(({ bytes }) => bytes.buffer)
    return this.#call(request, [...new Set(buffers)]) as Promise<LoadReply>
  }

  /** Throws UNAVAILABLE when the line is full or the thread has ended. */
  predict(request: PredictRequest): Promise<PredictReply> {
    return this.#call(
      request,
      request.inputs.map(({ data }) => data.buffer),
    ) as Promise<PredictReply>
  }

  answer(request: AnswerRequest): Promise<AnswerReply> {
    return this.#call(request, [request.body.buffer]) as Promise<AnswerReply>
  }

  async close(why = "was disposed of"): Promise<void> {
    this.#end(why)
    await this.#worker.terminate()
  }

  async #call(request: LoadRequest | Question, transfer: ArrayBuffer[]): Promise<Answered> {
    if (this.#ended) throw this.#ended
    if (this.#waiting.size >= maxWaiting) throw unavailable(`${maxWaiting} predictions are already waiting`)
    const id = this.#nextId++
    this.#worker.postMessage({ id, request }, transfer)
    this.#worker.ref() // an idle model keeps no process alive, a busy one does
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    // While it ends it holds the process: Node would leave in the middle of `close`, with exit code 13.
    if (this.#waiting.size === 0 && this.#ended === null) this.#worker.unref()
    if ("error" in reply) waiting?.reject(reviveError(reply.error satisfies ErrorReport))
    else waiting?.resolve(reply.value)
  }

  #end(why: string, cause?: unknown): void {
    this.#ended ??= unavailable(`the model's engine thread ${why}`, cause)
    for (const { reject } of this.#waiting.values()) reject(this.#ended)
    this.#waiting.clear()
  }
}

function unavailable(message: string, cause?: unknown): RuntimeError {
  return new RuntimeError("UNAVAILABLE", message, { cause, hint: "try again, or another replica" })
}
