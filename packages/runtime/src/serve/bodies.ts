/** Request bodies, bounded one by one and all together: a thousand slow uploads can't fill memory. */
import type { IncomingMessage } from "node:http"
import { busy, Refusal } from "./refusal.ts"

export class Bodies {
  readonly #most: number
  readonly #mostTogether: number
  #held = 0

  /** Bytes one body may have, and all that are being read or answered. */
  constructor(most: number, mostTogether: number) {
    this.#most = most
    this.#mostTogether = mostTogether
  }

  /** Calls `use` with the whole body, and counts its bytes until that is done. Throws a 413, 415 or 503. */
  async with<T>(request: IncomingMessage, use: (body: Uint8Array) => Promise<T>): Promise<T> {
    const encoding = request.headers["content-encoding"] ?? "identity"
    if (encoding !== "identity") throw new Refusal(415, `content-encoding ${encoding} is not accepted`)
    if (Number(request.headers["content-length"] ?? 0) > this.#most) throw this.#tooLarge()
    let size = 0
    try {
      const chunks: Uint8Array[] = []
      // By default an early end here would destroy the socket, and the refusal with it.
      for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
        size += chunk.length
        this.#held += chunk.length
        if (size > this.#most) throw this.#tooLarge()
        if (this.#held > this.#mostTogether) throw busy("too many large requests at once")
        chunks.push(chunk)
      }
      return await use(Buffer.concat(chunks, size))
    } finally {
      this.#held -= size
    }
  }

  #tooLarge(): Refusal {
    return new Refusal(413, `the body is larger than ${this.#most} bytes`)
  }
}
