/** Request bodies, bounded one by one and all together: a thousand slow uploads can't fill memory. */
import type { IncomingMessage } from "node:http"
import { busy, Refusal } from "./refusal.ts"

export class Bodies {
  readonly #mostTogether: number
  #held = 0

  /** Bytes that all bodies may have that are being read or answered. */
  constructor(mostTogether: number) {
    this.#mostTogether = mostTogether
  }

  /**
   * Calls `use` with the whole body of at most `most` bytes, in a buffer of its own, and counts them until that is done.
   * Throws a 413, 415 or 503.
   */
  async with<T>(
    request: IncomingMessage,
    most: number,
    use: (body: Uint8Array<ArrayBuffer>) => Promise<T>,
  ): Promise<T> {
    const encoding = request.headers["content-encoding"] ?? "identity"
    if (encoding !== "identity") throw new Refusal(415, `content-encoding ${encoding} is not accepted`)
    if (Number(request.headers["content-length"] ?? 0) > most) throw tooLarge(most)
    let size = 0
    try {
      const chunks: Uint8Array[] = []
      // By default an early end here would destroy the socket, and the refusal with it.
      for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
        size += chunk.length
        this.#held += chunk.length
        if (size > most) throw tooLarge(most)
        if (this.#held > this.#mostTogether) throw busy("too many large requests at once")
        chunks.push(chunk)
      }
      return await use(joined(chunks, size))
    } finally {
      this.#held -= size
    }
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

function tooLarge(most: number): Refusal {
  return new Refusal(413, `the body is larger than the ${most} bytes that the most rows answered at once can take`)
}
