/**
 * Hashes files in worker threads: each byte is read once. A file of which only the digest is wanted is read by the thread
 * that hashes it; else the bytes go into a fixed ring of shared memory, and the whole-file digest and the part digests of
 * one file are computed side by side. Memory is flat whatever the size of the files.
 */
import { createHash } from "node:crypto"
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { limits, ManifestError, partSizeFor } from "../index.ts"
import { HashReader } from "./hash-reader.ts"
import { Lane } from "./lane.ts"

/** `stream` names a running hash; `end` asks for its digest. Lengths in bytes. */
export interface HashOrder {
  readonly stream: number
  readonly memory: SharedArrayBuffer
  readonly offset: number
  readonly length: number
  readonly end: boolean
}
export interface HashReply {
  readonly digest?: string
}

export interface FileDigests {
  readonly size: number
  /** Hex. */
  readonly digest: string
  /** Hex digests of consecutive pieces of `partSizeFor(size)` bytes, for files of more than 8 MiB when asked for. */
  readonly parts?: readonly string[]
}

export interface HashOptions {
  readonly parts?: boolean
  /** Stops between two blocks; the signal's reason is thrown. */
  readonly signal?: AbortSignal
  /** Told how many more bytes were read. */
  readonly onBytes?: (count: number) => void
}

/** Fills a place in memory, as far as one read goes; 0 at the end. */
interface ByteSource {
  read(memory: Uint8Array, offset: number, length: number): Promise<{ readonly bytesRead: number }>
}

const defaultSlot = 2 ** 21
const slotsPerThread = 8
/** Bytes that are hashed sooner than a thread is told of them. */
const little = 2 ** 16

export class HashPool {
  readonly #reader: HashReader
  readonly #lanes: readonly Lane<HashOrder, HashReply>[]
  readonly #slotSize: number
  readonly #memory: SharedArrayBuffer
  readonly #free: number[]
  readonly #waiting: ((slot: number) => void)[] = []
  #nextLane = 0
  #nextStream = 0

  /** Memory: `slots` times `slotSize` bytes. The latter divides every part size. */
  constructor(
    threads: number = Math.max(2, Math.min(8, availableParallelism())),
    slots: number = threads * slotsPerThread,
    slotSize: number = defaultSlot,
  ) {
    this.#slotSize = slotSize
    this.#reader = new HashReader(threads)
    this.#lanes = Array.from({ length: threads }, () => new Lane("hash-worker"))
    this.#memory = new SharedArrayBuffer(slots * slotSize)
    this.#free = Array.from({ length: slots }, (_, slot) => slot)
  }

  get threads(): number {
    return this.#lanes.length
  }

  /**
   * Refuses what is not a regular file (FILE_UNREADABLE), and a file whose size, times or identity change while it is
   * read (FILE_CHANGED). Symbolic links are not followed.
   */
  async hashFile(path: string, options: HashOptions = {}): Promise<FileDigests> {
    const file = await openRegular(path)
    try {
      const before = await file.stat({ bigint: true })
      if (!before.isFile()) throw new ManifestError("FILE_UNREADABLE", `${path} is not a regular file`)
      const digests = await this.#hashFile(file, Number(before.size), path, options)
      const after = await file.stat({ bigint: true })
      for (const field of ["ino", "size", "mtimeNs", "ctimeNs"] as const) {
        if (before[field] !== after[field]) throw changed(path)
      }
      return digests
    } finally {
      await file.close()
    }
  }

  /** Of bytes that come from elsewhere: exactly `size` of them, or FILE_CHANGED; what reading them throws is thrown on. */
  async hashBytes(chunks: AsyncIterable<Uint8Array>, size: number, options: HashOptions = {}): Promise<FileDigests> {
    const source = new ChunkSource(chunks)
    try {
      const digests = await this.#hash(source, size, "the source", options)
      if ((await source.read(new Uint8Array(1), 0, 1)).bytesRead > 0) throw changed("the source")
      return digests
    } finally {
      await source.close()
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#reader, ...this.#lanes].map((threads) => threads.close()))
  }

  async #hashFile(file: FileHandle, size: number, path: string, options: HashOptions): Promise<FileDigests> {
    const { parts, ...reading } = options
    if (parts === true) return await this.#hash(file, size, path, options)
    const { digest } = await this.#reader.hash(file, { start: 0, size }, reading).catch((cause: unknown) => {
      throw cause instanceof ManifestError && cause.code === "FILE_CHANGED" ? changed(path) : cause
    })
    return { size, digest }
  }

  async #hash(file: ByteSource, size: number, path: string, options: HashOptions): Promise<FileDigests> {
    if (size <= little) return await hashLittle(file, size, path, options)
    const lane = this.#lane()
    const partSize = options.parts === true && size > limits.part ? partSizeFor(size) : Number.POSITIVE_INFINITY
    const partLane = Number.isFinite(partSize) ? this.#lane() : lane
    const stream = this.#nextStream++
    const orders: Promise<unknown>[] = []
    let partStream = this.#nextStream++
    const parts: Promise<HashReply>[] = []
    let whole: Promise<HashReply> | null = null
    let at = 0
    try {
      do {
        options.signal?.throwIfAborted()
        const slot = await this.#acquire()
        const length = await this.#fill(file, slot, Math.min(this.#slotSize, size - at), path)
        at += length
        const order = { memory: this.#memory, offset: slot * this.#slotSize, length }
        whole = lane.run({ ...order, stream, end: at === size })
        const uses: Promise<unknown>[] = [whole]
        if (Number.isFinite(partSize)) {
          const end = at === size || at % partSize === 0
          const part = partLane.run({ ...order, stream: partStream, end })
          uses.push(part)
          if (end) {
            parts.push(part)
            partStream = this.#nextStream++
          }
        }
        orders.push(Promise.allSettled(uses).then(() => this.#release(slot)))
        options.onBytes?.(length)
      } while (at < size)
      const { digest = "" } = await whole
      await Promise.all(orders)
      return {
        size,
        digest,
        ...(Number.isFinite(partSize) ? { parts: (await Promise.all(parts)).map(({ digest = "" }) => digest) } : {}),
      }
    } catch (error) {
      const nothing = { memory: this.#memory, offset: 0, length: 0, end: true } // the threads let go of what they hold
      const ends = [lane.run({ ...nothing, stream }), partLane.run({ ...nothing, stream: partStream })]
      void Promise.allSettled(ends)
      throw error
    } finally {
      await Promise.all(orders)
    }
  }

  /** Reads exactly `length` bytes into the slot. The slot goes back when the file is shorter. */
  async #fill(file: ByteSource, slot: number, length: number, path: string): Promise<number> {
    try {
      await fill(file, new Uint8Array(this.#memory, slot * this.#slotSize, length), path)
      return length
    } catch (error) {
      this.#release(slot)
      throw error
    }
  }

  #lane(): Lane<HashOrder, HashReply> {
    const lane = this.#lanes[this.#nextLane++ % this.#lanes.length]
    if (lane === undefined) throw new RangeError("a pool has at least one thread")
    return lane
  }

  #acquire(): Promise<number> {
    const slot = this.#free.pop()
    return slot === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(slot)
  }

  #release(slot: number): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(slot)
    else next(slot)
  }
}

/** A message to a thread, let alone the thread, costs more than this. */
async function hashLittle(file: ByteSource, size: number, path: string, options: HashOptions): Promise<FileDigests> {
  options.signal?.throwIfAborted()
  const block = new Uint8Array(size)
  await fill(file, block, path)
  options.onBytes?.(size)
  return { size, digest: createHash("sha256").update(block).digest("hex") }
}

async function fill(file: ByteSource, memory: Uint8Array, path: string): Promise<void> {
  for (let filled = 0; filled < memory.length;) {
    const { bytesRead } = await file.read(memory, filled, memory.length - filled)
    if (bytesRead === 0) throw changed(path)
    filled += bytesRead
  }
}

class ChunkSource implements ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  async read(memory: Uint8Array, offset: number, length: number): Promise<{ bytesRead: number }> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next()
      if (next.done === true) return { bytesRead: 0 }
      this.#rest = next.value
    }
    const bytesRead = Math.min(length, this.#rest.length)
    memory.set(this.#rest.subarray(0, bytesRead), offset)
    this.#rest = this.#rest.subarray(bytesRead)
    return { bytesRead }
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }
}

async function openRegular(path: string): Promise<FileHandle> {
  try {
    // O_NONBLOCK: opening a FIFO must not hang; regular files ignore it.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown"
    const why = code === "ELOOP" ? "it is a symbolic link" : code
    throw new ManifestError("FILE_UNREADABLE", `cannot read ${path}: ${why}`, { cause })
  }
}

function changed(path: string): ManifestError {
  return new ManifestError("FILE_CHANGED", `${path} changed while it was read`, {
    hint: "stop whatever writes the model folder, then run the command again",
  })
}
