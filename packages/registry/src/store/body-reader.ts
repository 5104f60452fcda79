/**
 * Reads a body chunk by chunk and can let go of it in the middle without destroying it: the request is still to be
 * answered, and a client that is not read to its end may never see the answer.
 */
import type { Readable } from "node:stream"
import { setTimeout } from "node:timers/promises"

export class BodyReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  #pending: Promise<IteratorResult<Uint8Array>> | null = null
  #ended = false

  constructor(body: Readable) {
    this.#chunks = body.iterator({ destroyOnReturn: false }) as AsyncIterator<Uint8Array>
  }

  /** The next chunk, `null` after the last. Rejects when `signal` fires, also while the body is silent. */
  async next(signal: AbortSignal): Promise<Uint8Array | null> {
    signal.throwIfAborted()
    let stop = (): void => undefined
    const stopped = new Promise<never>((_, reject) => {
      stop = () => reject(signal.reason as Error)
      signal.addEventListener("abort", stop, { once: true })
    })
    try {
      return await Promise.race([this.#take(), stopped])
    } finally {
      signal.removeEventListener("abort", stop)
    }
  }

  /** Reads on and forgets, until the end, `bytes`, or `ms`. Never rejects. */
  async drain(bytes: number, ms: number): Promise<void> {
    const enough = new AbortController()
    const timer = setTimeout(ms, undefined, { ref: false, signal: enough.signal }).then(
      () => enough.abort(),
      () => undefined,
    )
    try {
      for (let left = bytes; left >= 0 && !this.#ended;) left -= (await this.next(enough.signal))?.length ?? 0
    } catch {
      return // cut off, or too slow: there is nothing more to be had
    } finally {
      enough.abort()
      await timer
    }
  }

  async #take(): Promise<Uint8Array | null> {
    if (this.#ended) return null
    this.#pending ??= this.#chunks.next()
    const pending = this.#pending
    pending.catch(() => undefined) // whoever let go of it does not hear of its end
    const taken = await pending
    this.#pending = null
    if (taken.done !== true) return taken.value
    this.#ended = true
    return null
  }
}
