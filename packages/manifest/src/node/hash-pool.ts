/**
 * Hashes files in worker threads: each byte is read once, into a fixed ring of shared memory, and the whole-file digest
 * and the part digests of one file are computed side by side. Memory is flat whatever the size of the files.
 */
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { limits, ManifestError, partSizeFor } from "../index.ts"

/** `stream` names a running hash; `end` asks for its digest. Lengths in bytes. */
export interface HashOrder {
  readonly id: number
  readonly stream: number
  readonly memory: SharedArrayBuffer
  readonly offset: number
  readonly length: number
  readonly end: boolean
}
export interface HashReply {
  readonly id: number
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

const slotSize = 2 ** 21 // divides every part size
const slotsPerThread = 8

class Lane {
  readonly #worker: Worker
  readonly #waiting = new Map<number, { resolve: (digest: string) => void; reject: (error: Error) => void }>()
  #next = 0

  constructor() {
    // tsc does not rewrite this name: the sources run as .ts, the package as .js.
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"
    this.#worker = new Worker(new URL(`./hash-worker.${extension}`, import.meta.url))
    this.#worker.unref()
    this.#worker.on("message", ({ id, digest }: HashReply) => {
      this.#waiting.get(id)?.resolve(digest ?? "")
      this.#waiting.delete(id)
      if (this.#waiting.size === 0) this.#worker.unref()
    })
    this.#worker.on("error", (error) => {
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    })
  }

  run(order: Omit<HashOrder, "id">): Promise<string> {
    const id = this.#next++
    this.#worker.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ ...order, id } satisfies HashOrder)
    })
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }
}

export class HashPool {
  readonly #lanes: readonly Lane[]
  readonly #memory: SharedArrayBuffer
  readonly #free: number[]
  readonly #waiting: ((slot: number) => void)[] = []
  #nextLane = 0
  #nextStream = 0

  constructor(threads: number = Math.max(2, Math.min(8, availableParallelism()))) {
    this.#lanes = Array.from({ length: threads }, () => new Lane())
    this.#memory = new SharedArrayBuffer(threads * slotsPerThread * slotSize)
    this.#free = Array.from({ length: threads * slotsPerThread }, (_, slot) => slot)
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
      const digests = await this.#hash(file, Number(before.size), path, options)
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
    await Promise.all(this.#lanes.map((lane) => lane.close()))
  }

  async #hash(file: ByteSource, size: number, path: string, options: HashOptions): Promise<FileDigests> {
    const lane = this.#lane()
    const partSize = options.parts === true && size > limits.part ? partSizeFor(size) : Number.POSITIVE_INFINITY
    const partLane = Number.isFinite(partSize) ? this.#lane() : lane
    const stream = this.#nextStream++
    const orders: Promise<unknown>[] = []
    let partStream = this.#nextStream++
    const parts: Promise<string>[] = []
    let whole: Promise<string> | null = null
    let at = 0
    try {
      do {
        options.signal?.throwIfAborted()
        const slot = await this.#acquire()
        const length = await this.#fill(file, slot, Math.min(slotSize, size - at), path)
        at += length
        options.onBytes?.(length)
        const order = { memory: this.#memory, offset: slot * slotSize, length }
        whole = lane.run({ ...order, stream, end: at === size })
        const uses: Promise<string>[] = [whole]
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
      } while (at < size)
      const digest = await whole
      return { size, digest, ...(Number.isFinite(partSize) ? { parts: await Promise.all(parts) } : {}) }
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
    const view = new Uint8Array(this.#memory, slot * slotSize, slotSize)
    let filled = 0
    try {
      while (filled < length) {
        const { bytesRead } = await file.read(view, filled, length - filled)
        if (bytesRead === 0) throw changed(path)
        filled += bytesRead
      }
      return filled
    } catch (error) {
      this.#release(slot)
      throw error
    }
  }

  #lane(): Lane {
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
