/**
 * Reads a body chunk by chunk and can let go of it in the middle without destroying it: the request is still to be
 * answered, and a client that is not read to its end may never see the answer.
 */
import type { Readable } from "node:stream"

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

  /** Leaves what was not read to whoever answers the request: while this reads it nobody else can. */
  release(): void {
    this.#chunks.return?.().catch(() => undefined)
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
