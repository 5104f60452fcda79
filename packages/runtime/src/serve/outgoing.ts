/** Answers that were computed and not yet taken: bounded together, and each in time, whatever their readers do. */
import type { ServerResponse } from "node:http"
import { busy } from "./refusal.ts"

/** How long a caller may take to read an answer, ms. */
const readTimeout = 60_000

export class Outgoing {
  readonly #most: number
  #held = 0

  /** Bytes that all answers may have that wait for their readers. */
  constructor(most: number) {
    this.#most = most
  }

  /** Before an answer is computed. Throws a 503. */
  requireRoom(): void {
    if (this.#held >= this.#most) throw busy("too many large answers wait for their readers")
  }

  /** Counts an answer until it is sent or its reader is gone, who has a minute. Throws a 503. */
  hold(response: ServerResponse, size: number): void {
    if (this.#held + size > this.#most) throw busy("too many large answers wait for their readers")
    this.#held += size
    const timer = setTimeout(() => response.destroy(), readTimeout)
    response.once("close", () => {
      this.#held -= size
      clearTimeout(timer)
    })
  }
}
