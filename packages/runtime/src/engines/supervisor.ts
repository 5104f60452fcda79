/**
 * Keeps a model answering. Questions go to the engine's thread one by one; when a question takes too long, or the thread
 * dies, the thread is ended and the model is loaded again, from verified bytes.
 *
 *     ready  --deadline, no memory, a crash-->  restarting  --loaded-->  ready
 *                                                  |  the thread does not end (a native call), or loading failed too often
 *                                                  v
 *                                               failed, for good: ENGINE_STUCK; the process has to end
 *
 * Questions that wait go on waiting for the new engine; new ones are refused until it is there. A caller who has left, and
 * one who waited too long, are not asked for.
 */
import { setTimeout as pause } from "node:timers/promises"
import { messageOf, RuntimeError } from "../errors.ts"
import type { AnswerReply, LoadReply, PredictReply, Question } from "./messages.ts"
import { RestartDelay } from "./restart-delay.ts"
import { deadlineExceeded, WaitingQuestion } from "./waiting-question.ts"
import { unavailable, type WorkerLink } from "./worker-link.ts"

/** Questions that may wait; the next is refused at once. */
const maxWaiting = 64

export interface RunningEngine {
  readonly link: WorkerLink
  readonly loaded: LoadReply
}

export interface SupervisorOptions {
  /** Milliseconds a question may take. */
  readonly predictTimeout: number
  /** Loads the same model again; `null` when nobody knows how. */
  readonly restart: ((signal: AbortSignal) => Promise<RunningEngine>) | null
  /** Tries in a row before it gives up. */
  readonly maxRestarts: number
}

export class Supervisor {
  /** Resolves when it will never answer again, unless it was closed and its thread has ended. */
  readonly failed: Promise<RuntimeError>
  readonly #options: SupervisorOptions
  readonly #resolveFailed: (why: RuntimeError) => void
  readonly #waiting = new Set<WaitingQuestion>()
  readonly #delay = new RestartDelay()
  readonly #closing = new AbortController()
  #engine: RunningEngine
  #isBusy = false
  #failure: RuntimeError | null = null

  constructor(engine: RunningEngine, options: SupervisorOptions) {
    const { promise, resolve } = Promise.withResolvers<RuntimeError>()
    this.failed = promise
    this.#resolveFailed = resolve
    this.#options = options
    this.#engine = engine
    this.#adopt(engine)
  }

  get loaded(): LoadReply {
    return this.#engine.loaded
  }

  /** Why it takes no questions; `null` while it does. */
  get failure(): RuntimeError | null {
    return this.#failure
  }

  /**
   * Throws what the question deserves; DEADLINE_EXCEEDED; the signal's reason; UNAVAILABLE when too many wait, or while the
   * engine is loaded again; ENGINE_STUCK when it never will be.
   */
  async ask(question: Question, signal?: AbortSignal): Promise<PredictReply | AnswerReply> {
    signal?.throwIfAborted()
    if (this.#failure) throw this.#failure
    if (this.#waiting.size >= maxWaiting) throw unavailable(`${maxWaiting} predictions are already waiting`)
    const waiting = new WaitingQuestion(question, this.#options.predictTimeout, signal)
    this.#waiting.add(waiting)
    this.#next()
    try {
      return await waiting.answered
    } finally {
      this.#waiting.delete(waiting)
    }
  }

  /** Ends the engine; what waits is refused with UNAVAILABLE. Safe to call twice. */
  async close(): Promise<void> {
    const why = unavailable("the model was disposed of")
    this.#failure = why
    this.#refuseAll(why)
    this.#closing.abort(why)
    const outcome = await this.#engine.link.close()
    if (outcome === "stuck") this.#resolveFailed(stuck(`${this.loaded.engine.name} does not end`))
  }

  #adopt(engine: RunningEngine): void {
    this.#engine = engine
    this.#failure = null
    this.#delay.started()
    void engine.link.gone.then((why) => this.#lost(engine, why))
    this.#next()
  }

  #next(): void {
    if (this.#isBusy || this.#failure || this.#engine.link.hasEnded) return
    const next = this.#take()
    if (next === null) return
    this.#isBusy = true
    void this.#answer(next).finally(() => {
      this.#isBusy = false
      this.#next()
    })
  }

  /** The first whose caller still wants an answer. */
  #take(): WaitingQuestion | null {
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting)
      if (!waiting.isSettled) return waiting
    }
    return null
  }

  // What is being computed can't be called back: who left is not answered, and the engine is ended when it takes too long.
  async #answer(waiting: WaitingQuestion): Promise<void> {
    const { link } = this.#engine
    const { predictTimeout } = this.#options
    const timer = setTimeout(() => {
      waiting.reject(deadlineExceeded(predictTimeout))
      void link.close(`did not answer within ${predictTimeout} ms`)
    }, predictTimeout)
    try {
      waiting.resolve(await link.ask(waiting.question))
    } catch (error) {
      waiting.reject(error)
    } finally {
      clearTimeout(timer)
    }
  }

  #lost(engine: RunningEngine, why: RuntimeError): void {
    if (this.#closing.signal.aborted) return
    this.#failure = unavailable(`the model is being loaded again: ${why.message}`, why)
    this.#delay.lost()
    void this.#restart(engine, why)
  }

  async #restart({ link, loaded }: RunningEngine, why: RuntimeError): Promise<void> {
    if ((await link.close()) === "stuck")
      return this.#giveUp(`${why.message}, and ${loaded.engine.name} does not end: only the end of the process ends it`)
    const { restart, maxRestarts } = this.#options
    if (restart === null) return this.#giveUp(`${why.message}, and nobody said how to load it again`)
    let last = why.message
    for (let attempt = 0; attempt < maxRestarts; attempt++) {
      try {
        await pause(this.#delay.next(), undefined, { signal: this.#closing.signal })
        return await this.#replace(loaded, await restart(this.#closing.signal))
      } catch (error) {
        if (this.#closing.signal.aborted) return
        last = messageOf(error)
      }
    }
    this.#giveUp(`${why.message}, and it could not be loaded again in ${maxRestarts} tries: ${last}`)
  }

  async #replace(before: LoadReply, engine: RunningEngine): Promise<void> {
    const signature = ({ inputs, outputs }: LoadReply): string => JSON.stringify([inputs, outputs])
    const isSame = signature(before) === signature(engine.loaded)
    if (isSame && !this.#closing.signal.aborted) return this.#adopt(engine)
    await engine.link.close()
    throw new RuntimeError("MODEL_REFUSED", "what was loaded again has other inputs or outputs")
  }

  #giveUp(message: string): void {
    if (this.#closing.signal.aborted) return
    const why = new RuntimeError("ENGINE_STUCK", message, {
      hint: "end the process, and let a supervisor start it anew",
    })
    this.#failure = why
    this.#refuseAll(why)
    this.#resolveFailed(why)
  }

  #refuseAll(why: RuntimeError): void {
    for (const waiting of this.#waiting) waiting.reject(why)
    this.#waiting.clear()
  }
}

function stuck(message: string): RuntimeError {
  return new RuntimeError("ENGINE_STUCK", message, { hint: "end the process, and let a supervisor start it anew" })
}
