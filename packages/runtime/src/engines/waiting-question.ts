/** One question on its way: it has one answer, a time by which it must have come, and a caller who may leave. */
import { RuntimeError } from "../errors.ts"
import type { AnswerReply, PredictReply, Question } from "./messages.ts"

export class WaitingQuestion {
  readonly question: Question
  readonly answered: Promise<PredictReply | AnswerReply>
  readonly #settle: PromiseWithResolvers<PredictReply | AnswerReply>
  readonly #timer: NodeJS.Timeout
  readonly #signal: AbortSignal | undefined
  readonly #onAbort: () => void
  #isSettled = false

  /** `answered` rejects with DEADLINE_EXCEEDED after `timeout` ms, and with the signal's reason. */
  constructor(question: Question, timeout: number, signal: AbortSignal | undefined) {
    this.question = question
    this.#settle = Promise.withResolvers()
    this.answered = this.#settle.promise
    this.#signal = signal
    this.#onAbort = (): void => this.reject(signal?.reason)
    this.#timer = setTimeout(() => this.reject(deadlineExceeded(timeout)), timeout)
    signal?.addEventListener("abort", this.#onAbort, { once: true })
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  resolve(value: PredictReply | AnswerReply): void {
    this.#done()
    this.#settle.resolve(value)
  }

  reject(error: unknown): void {
    this.#done()
    this.#settle.reject(error)
  }

  #done(): void {
    this.#isSettled = true
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener("abort", this.#onAbort)
  }
}

export function deadlineExceeded(timeout: number): RuntimeError {
  return new RuntimeError("DEADLINE_EXCEEDED", `the model did not answer within ${timeout} ms`, {
    hint: "ask with fewer rows, or allow more time with --predict-timeout",
  })
}
