/**
 * An open file that a thread reads from front to back, and what its bytes hash to:
 *
 *     const reading = hasher.begin(file)      // grows while the file does
 *     await reading.next(8_388_608)
 *     await reading.next(1_234)
 *     const { digest } = await reading.end()  // SHA-256 of those 8,389,842 bytes
 */
import type { FileHandle } from "node:fs/promises"
import type { WorkerThread } from "../worker-thread.ts"
import type { HashOrder, HashReply, ReadOrder } from "./hash-orders.ts"

export interface ReadOptions {
  /** Stops between two steps; the signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined
  /** Told how many more bytes were read. What it throws is thrown on. */
  readonly onBytes?: ((count: number) => void) | undefined
}

export interface BeginOptions extends ReadOptions {
  /** Where its first byte is. */
  readonly start?: number
  /** So many bytes will be read, and are to stay in memory. */
  readonly keep?: number
}

export interface Hashed {
  /** SHA-256, hex. */
  readonly digest: string
  /** What was hashed, when it was to be kept. */
  readonly bytes: Uint8Array<ArrayBuffer> | null
}

const nothing = { start: 0, length: 0, part: "none" } as const
/** Bytes of one order: a few milliseconds of a thread that others wait for too. */
const step = 2 ** 23

/** Its owner keeps the file open until what was asked for is answered. */
export class Reading {
  readonly #thread: WorkerThread<HashOrder, HashReply>
  readonly #order: Pick<ReadOrder, "kind" | "stream" | "fd" | "keep">
  readonly #options: BeginOptions
  readonly #ended: () => Error
  #at: number

  /** `ended` makes the error that says: the file ends before its last byte. */
  constructor(
    thread: WorkerThread<HashOrder, HashReply>,
    stream: number,
    file: FileHandle,
    options: BeginOptions,
    ended: () => Error,
  ) {
    this.#thread = thread
    this.#order = { kind: "read", stream, fd: file.fd, keep: options.keep ?? null }
    this.#options = options
    this.#ended = ended
    this.#at = options.start ?? 0
  }

  /** The next `size` bytes; one call after the other. FILE_CHANGED when the file ends before; what reading throws. */
  async next(size: number): Promise<void> {
    for (const length of stepsOf(size)) await this.#step(length, "none")
  }

  /** The same, and what these bytes alone hash to: SHA-256, hex. May be called again before it has answered. */
  async nextPart(size: number): Promise<string> {
    const lengths = stepsOf(size)
    const replies = await Promise.all(
      lengths.map((length, at) => this.#step(length, at === lengths.length - 1 ? "end" : "go on")),
    )
    return replies.at(-1)?.digest ?? ""
  }

  /** What it reads is settled before it waits for anything. */
  async #step(length: number, part: ReadOrder["part"]): Promise<HashReply> {
    this.#options.signal?.throwIfAborted()
    const start = this.#at
    this.#at += length
    const reply = await this.#ask({ start, length, part, then: "go on" })
    this.#options.onBytes?.(length)
    return reply
  }

  async end(): Promise<Hashed> {
    const { digest = "", bytes = null } = await this.#ask({ ...nothing, then: "end" })
    return { digest, bytes }
  }

  /** Instead of `end`. */
  async forget(): Promise<void> {
    await this.#ask({ ...nothing, then: "forget" }).catch(() => undefined)
  }

  async #ask(order: Pick<ReadOrder, "start" | "length" | "part" | "then">): Promise<HashReply> {
    const reply = await this.#thread.ask({ ...this.#order, ...order })
    if (reply.short === true) throw this.#ended()
    return reply
  }
}

function stepsOf(size: number): number[] {
  const steps: number[] = []
  for (let left = size; left > 0; left -= step) steps.push(Math.min(step, left))
  return steps
}
