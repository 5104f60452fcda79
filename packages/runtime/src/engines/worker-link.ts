/**
 * The main thread's end of an engine's thread: calls, and one clear end.
 */
import { setTimeout as pause } from "node:timers/promises"
import { getHeapStatistics } from "node:v8"
import { type Thrown, workerFile, WorkerThread } from "@weighlock/node"
import { buffersOf } from "../dtypes.ts"
import { RuntimeError, type RuntimeErrorCode } from "../errors.ts"
import type { AnswerReply, AnswerRequest, LoadReply, LoadRequest, PredictReply, PredictRequest } from "./messages.ts"
import type { Probe } from "./engine.ts"
import type { CheckRequest, LoadStage, ProbeRequest, Question } from "./messages.ts"

/** How long a thread that was told to end may take, ms: one in a native call ends when that returns, or never. */
const endTimeout = 10_000

type Request = LoadRequest | CheckRequest | ProbeRequest | Question
type Answered = LoadReply | PredictReply | AnswerReply | Probe | null

export class WorkerLink {
  /** Resolves when the thread takes no more calls, with why. */
  readonly gone: Promise<RuntimeError>
  readonly #thread: WorkerThread<Request, Answered>
  #closed: Promise<"ended" | "stuck"> | null = null

  constructor() {
    this.#thread = new WorkerThread(workerFile("./engine-worker", import.meta.url), {
      name: "engine",
      silent: true, // native code and Node itself may write: not to our streams
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytes() },
      revive,
    })
    this.gone = this.#thread.gone.then(({ message, cause }) => unavailable(message, cause))
  }

  /** Whether the thread takes no more calls. */
  get hasEnded(): boolean {
    return this.#thread.ended !== null
  }

  /** `onStage` hears how far it has come. */
  load(request: LoadRequest, onStage: (stage: LoadStage) => void = () => undefined): Promise<LoadReply> {
    const buffers = request.files.map(({ bytes }) => bytes.buffer)
    return this.#call(request, [...new Set(buffers)], onStage) as Promise<LoadReply>
  }

  /** Throws MODEL_REFUSED for what would not load. */
  async check(request: CheckRequest): Promise<void> {
    await this.#call(request, [])
  }

  async probe(request: ProbeRequest): Promise<Probe> {
    return (await this.#call(request, [])) as Probe
  }

  predict(request: PredictRequest): Promise<PredictReply> {
    return this.ask(request) as Promise<PredictReply>
  }

  answer(request: AnswerRequest): Promise<AnswerReply> {
    return this.ask(request) as Promise<AnswerReply>
  }

  /** Throws what the question deserves; TOO_LARGE when the thread had no memory for it; UNAVAILABLE when it has ended. */
  ask(question: Question): Promise<PredictReply | AnswerReply> {
    const buffers =
      question.kind === "answer" ? [question.body.buffer] : buffersOf(question.inputs.map(({ data }) => data))
    return this.#call(question, buffers) as Promise<PredictReply | AnswerReply>
  }

  /** Resolves when the thread has ended, or is stuck: a native call can't be ended from outside. Safe to call twice. */
  close(why = "was disposed of"): Promise<"ended" | "stuck"> {
    return (this.#closed ??= this.#end(why))
  }

  async #end(why: string): Promise<"ended" | "stuck"> {
    const stopWaiting = new AbortController()
    const waited = pause(endTimeout, "stuck" as const, { signal: stopWaiting.signal }).catch(() => "ended" as const)
    const outcome = await Promise.race([this.#thread.terminate(why).then(() => "ended" as const), waited])
    stopWaiting.abort()
    return outcome
  }

  async #call(
    request: Request,
    transfer: readonly ArrayBuffer[],
    onProgress?: (stage: LoadStage) => void,
  ): Promise<Answered> {
    const wasGone = this.hasEnded
    const options = onProgress === undefined ? { transfer } : { transfer, onProgress }
    return await this.#thread.ask(request, options).catch((error: unknown) => {
      const { ended } = this.#thread
      if (ended === null || error !== ended) throw error
      const { message, cause } = ended
      if (wasGone || !isOutOfMemory(cause)) throw unavailable(message, cause)
      throw new RuntimeError("TOO_LARGE", "the engine's thread ran out of memory over this question", { cause })
    })
  }
}

function isOutOfMemory(cause: unknown): boolean {
  return (cause as { readonly code?: unknown } | undefined)?.code === "ERR_WORKER_OUT_OF_MEMORY"
}

function revive(thrown: Thrown): Error {
  const { name, code, message, hint, cause } = thrown
  if (name !== "RuntimeError") return thrown
  return new RuntimeError(code as RuntimeErrorCode, message, hint === undefined ? { cause } : { cause, hint })
}

// Tensors lie outside V8's heap; what is in it, parsed questions above all, need not grow with the machine.
function heapMegabytes(): number {
  return Math.min(2048, Math.floor(getHeapStatistics().heap_size_limit / 2 ** 20))
}

export function unavailable(message: string, cause?: unknown): RuntimeError {
  return new RuntimeError("UNAVAILABLE", message, { cause, hint: "try again, or another replica" })
}
