/**
 * Reads open files in worker threads and says what their bytes hash to:
 *
 *     const reading = reader.begin(file)      // grows while the file does
 *     await reading.next(8_388_608)
 *     await reading.next(1_234)
 *     const { digest } = await reading.end()  // SHA-256 of those 8,389,842 bytes
 */
import { createHash } from "node:crypto"
import type { FileHandle } from "node:fs/promises"
import { ManifestError } from "../index.ts"
import { Lane } from "./lane.ts"

/** Bytes of an open file: `size` of them from `start` on. */
export interface Range {
  readonly start: number
  readonly size: number
}

/** `stream` names a running hash. `keep`: bytes to hold in memory, together. `part`: they belong to a part, and may be its last. */
export interface ReadOrder {
  readonly stream: number
  readonly fd: number
  readonly start: number
  readonly length: number
  readonly keep: number | null
  readonly part: "none" | "go on" | "end"
  readonly then: "go on" | "end" | "forget"
}
export interface ReadReply {
  readonly digest?: string
  readonly bytes?: Uint8Array<ArrayBuffer>
  /** The file ends before the last byte that was asked for. */
  readonly short?: true
  readonly failure?: {
    readonly message: string
    readonly code?: string | undefined
    readonly syscall?: string | undefined
  }
}

export interface ReadOptions {
  /** Stops between two steps; the signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined
  /** Told how many more bytes were read. What it throws is thrown on. */
  readonly onBytes?: (count: number) => void
}

export interface BeginOptions extends ReadOptions {
  /** Of its first byte. */
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
/** Of one order, bytes: a few milliseconds of a thread that others wait for too. */
const step = 2 ** 23
/** Bytes that are hashed sooner than a thread is told of them. */
const little = 2 ** 16

/** A file being read from front to back. Its owner keeps the file open until what was asked for is answered. */
export class Reading {
  readonly #lane: Lane<ReadOrder, ReadReply>
  readonly #order: Pick<ReadOrder, "stream" | "fd" | "keep">
  readonly #options: BeginOptions
  #at: number

  constructor(lane: Lane<ReadOrder, ReadReply>, stream: number, file: FileHandle, options: BeginOptions) {
    this.#lane = lane
    this.#order = { stream, fd: file.fd, keep: options.keep ?? null }
    this.#options = options
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

  /** Its place is taken before it waits for anything. */
  async #step(length: number, part: ReadOrder["part"]): Promise<ReadReply> {
    this.#options.signal?.throwIfAborted()
    const start = this.#at
    this.#at += length
    const reply = await this.#run({ start, length, part, then: "go on" })
    this.#options.onBytes?.(length)
    return reply
  }

  async end(): Promise<Hashed> {
    const { digest = "", bytes = null } = await this.#run({ ...nothing, then: "end" })
    return { digest, bytes }
  }

  /** Instead of `end`. */
  async forget(): Promise<void> {
    await this.#run({ ...nothing, then: "forget" }).catch(() => undefined)
  }

  async #run(order: Pick<ReadOrder, "start" | "length" | "part" | "then">): Promise<ReadReply> {
    const reply = await this.#lane.run({ ...this.#order, ...order })
    if (reply.short === true) throw ended()
    if (reply.failure !== undefined) throw Object.assign(new Error(reply.failure.message), reply.failure)
    return reply
  }
}

export class HashReader {
  readonly #lanes: readonly Lane<ReadOrder, ReadReply>[]
  #nextStream = 0

  constructor(threads: number) {
    this.#lanes = Array.from({ length: threads }, () => new Lane("hash-reader-worker"))
  }

  begin(file: FileHandle, options: BeginOptions = {}): Reading {
    const lane = this.#lanes.reduce((least, each) => (each.busy < least.busy ? each : least))
    return new Reading(lane, this.#nextStream++, file, options)
  }

  /** Of a range. FILE_CHANGED when the file ends before it. */
  async hash(
    file: FileHandle,
    { start, size }: Range,
    options: ReadOptions & { readonly keep?: boolean } = {},
  ): Promise<Hashed> {
    if (size <= little) return await hashLittle(file, start, size, options)
    const { keep, ...rest } = options
    const reading = this.begin(file, { ...rest, start, ...(keep === true ? { keep: size } : {}) })
    try {
      await reading.next(size)
      return await reading.end()
    } catch (error) {
      await reading.forget()
      throw error
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.close()))
  }
}

function stepsOf(size: number): number[] {
  const steps: number[] = []
  for (let left = size; left > 0; left -= step) steps.push(Math.min(step, left))
  return steps
}

async function hashLittle(file: FileHandle, start: number, size: number, options: ReadOptions): Promise<Hashed> {
  options.signal?.throwIfAborted()
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size;) {
    const { bytesRead } = await file.read(bytes, at, size - at, start + at)
    if (bytesRead === 0) throw ended()
    at += bytesRead
  }
  options.onBytes?.(size)
  return { digest: createHash("sha256").update(bytes).digest("hex"), bytes }
}

function ended(): ManifestError {
  return new ManifestError("FILE_CHANGED", "the file ends before its last byte", {
    hint: "stop whatever writes to it, then run the command again",
  })
}
