/**
 * The main thread's end of an engine's thread: calls, and one clear end.
 */
import { setTimeout as pause } from "node:timers/promises"
import { getHeapStatistics } from "node:v8"
import { Worker } from "node:worker_threads"
import { workerFile } from "@weighlock/node"
import { type ErrorReport, messageOf, reviveError, RuntimeError } from "../errors.ts"
import type { AnswerReply, AnswerRequest, LoadReply, LoadRequest, PredictReply, PredictRequest } from "./messages.ts"
import type { LoadStage, Question, Reply } from "./messages.ts"

/** How long a thread that was told to end may take, ms: one in a native call ends when that returns, or never. */
const endTimeout = 10_000

type Answered = LoadReply | PredictReply | AnswerReply

interface Waiting {
  readonly resolve: (value: Answered) => void
  readonly reject: (error: Error) => void
}

export class WorkerLink {
  /** Resolves when the thread takes no more calls, with why. */
  readonly gone: Promise<RuntimeError>
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  readonly #resolveGone: (why: RuntimeError) => void
  #nextId = 0
  #onStage: (stage: LoadStage) => void = () => undefined
  #cause: unknown = null
  #closed: Promise<"ended" | "stuck"> | null = null
  #ended: RuntimeError | null = null

  constructor() {
    const { promise, resolve } = Promise.withResolvers<RuntimeError>()
    this.gone = promise
    this.#resolveGone = resolve
    const file = workerFile("./engine-worker", import.meta.url)
    // Native code and Node itself may still write: not to our streams, and these are left unread.
    const resourceLimits = { maxOldGenerationSizeMb: heapMegabytes() }
    this.#worker = new Worker(file, {
      name: "weighlock-engine",
      execArgv: [],
      stdout: true,
      stderr: true,
      resourceLimits,
    })
    this.#worker.on("message", (reply: Reply) => this.#settle(reply))
    this.#worker.on("messageerror", (cause) => this.#end("answered what can't be read", cause))
    this.#worker.on("error", (cause) => (this.#cause = cause))
    // Only now: what was answered before an error comes before this, but not always before "error".
    this.#worker.on("exit", () => this.#exited(this.#cause))
  }

  /** Why the thread takes no more calls; `null` while it does. */
  get ended(): RuntimeError | null {
    return this.#ended
  }

  /** `onStage` hears how far it has come. */
  load(request: LoadRequest, onStage: (stage: LoadStage) => void = () => undefined): Promise<LoadReply> {
    this.#onStage = onStage
    const buffers = request.files.map(({ bytes }) => bytes.buffer)
    return this.#call(request, [...new Set(buffers)]) as Promise<LoadReply>
  }

  predict(request: PredictRequest): Promise<PredictReply> {
    return this.ask(request) as Promise<PredictReply>
  }

  answer(request: AnswerRequest): Promise<AnswerReply> {
    return this.ask(request) as Promise<AnswerReply>
  }

  /** Throws what the question deserves; TOO_LARGE when the thread had no memory for it; UNAVAILABLE when it has ended. */
  ask(question: Question): Promise<PredictReply | AnswerReply> {
    const bytes = question.kind === "answer" ? [question.body] : question.inputs.map(({ data }) => data)
    return this.#call(
      question,
      bytes.map(({ buffer }) => buffer),
    ) as Promise<PredictReply | AnswerReply>
  }

  /** Resolves when the thread has ended, or is stuck: a native call can't be ended from outside. Safe to call twice. */
  close(why = "was disposed of"): Promise<"ended" | "stuck"> {
    this.#end(why)
    return (this.#closed ??= this.#terminate())
  }

  async #terminate(): Promise<"ended" | "stuck"> {
    const stopWaiting = new AbortController()
    const waited = pause(endTimeout, "stuck" as const, { signal: stopWaiting.signal }).catch(() => "ended" as const)
    const outcome = await Promise.race([this.#worker.terminate().then(() => "ended" as const), waited])
    stopWaiting.abort()
    return outcome
  }

  async #call(request: LoadRequest | Question, transfer: ArrayBuffer[]): Promise<Answered> {
    if (this.#ended) throw this.#ended
    const id = this.#nextId++
    this.#worker.postMessage({ id, request }, transfer)
    this.#worker.ref() // an idle model keeps no process alive, a busy one does
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }

  #settle(reply: Reply): void {
    if ("stage" in reply) return this.#onStage(reply.stage)
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    // While it ends it holds the process: Node would leave in the middle of `close`, with exit code 13.
    if (this.#waiting.size === 0 && this.#ended === null) this.#worker.unref()
    if ("error" in reply) waiting?.reject(reviveError(reply.error satisfies ErrorReport))
    else waiting?.resolve(reply.value)
  }

  #exited(cause: unknown): void {
    if (cause === null) return this.#end("has ended")
    if ((cause as { code?: unknown }).code !== "ERR_WORKER_OUT_OF_MEMORY")
      return this.#end(`failed: ${messageOf(cause)}`, cause)
    for (const { reject } of this.#waiting.values())
      reject(new RuntimeError("TOO_LARGE", "the engine's thread ran out of memory over this question", { cause }))
    this.#waiting.clear()
    this.#end("ran out of memory", cause)
  }

  #end(why: string, cause?: unknown): void {
    this.#ended ??= unavailable(`the model's engine thread ${why}`, cause)
    for (const { reject } of this.#waiting.values()) reject(this.#ended)
    this.#waiting.clear()
    this.#resolveGone(this.#ended)
  }
}

// Tensors lie outside V8's heap; what is in it, parsed questions above all, need not grow with the machine.
function heapMegabytes(): number {
  return Math.min(2048, Math.floor(getHeapStatistics().heap_size_limit / 2 ** 20))
}

export function unavailable(message: string, cause?: unknown): RuntimeError {
  return new RuntimeError("UNAVAILABLE", message, { cause, hint: "try again, or another replica" })
}
