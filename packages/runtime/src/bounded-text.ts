/** UTF-8 that grows up to a cap, in one buffer at the end: an answer of 64 MiB is held once as text's bytes, never as one string. */
import { RuntimeError } from "./errors.ts"

/** Characters that are gathered before they become bytes. */
const blockLength = 2 ** 16

export class BoundedText {
  readonly #maxBytes: number
  readonly #blocks: Uint8Array[] = []
  #pending: string[] = []
  #pendingLength = 0
  #size = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Throws OUTPUT_INVALID beyond the cap. */
  add(text: string): void {
    this.#pending.push(text)
    this.#pendingLength += text.length
    if (this.#pendingLength >= blockLength) this.#flush()
  }

  bytes(): Uint8Array<ArrayBuffer> {
    this.#flush()
    const whole = new Uint8Array(this.#size)
    let at = 0
    for (const block of this.#blocks) {
      whole.set(block, at)
      at += block.length
    }
    return whole
  }

  #flush(): void {
    const block = new TextEncoder().encode(this.#pending.join(""))
    this.#pending = []
    this.#pendingLength = 0
    this.#size += block.length
    if (this.#size > this.#maxBytes)
      throw new RuntimeError("OUTPUT_INVALID", `the answer takes more than ${this.#maxBytes} bytes as JSON`, {
        hint: "ask with fewer rows",
      })
    this.#blocks.push(block)
  }
}
