/**
 * Hashes files in worker threads: each byte is read once, and memory is flat whatever the size of the files.
 *
 *     const hasher = new FileHasher({ threads: 2, partSizeFor: () => 8_388_608 })
 *     await hasher.hashFile("model.bin", { parts: true })    // { size: 20000000, digest: "5891b5…", parts: ["b6d81b…", …] }
 *     await hasher.close()
 *
 * A file of which only the digest is wanted is read by the thread that hashes it; else whole and parts are computed side by
 * side (block-hashing.ts).
 */
import { createHash } from "node:crypto"
import type { FileHandle } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { leastBusy, workerFile, WorkerThread } from "../worker-thread.ts"
import { BlockHashing } from "./block-hashing.ts"
import { type ByteSource, ChunkSource, fill, rangeSource } from "./byte-source.ts"
import type { HashOrder, HashReply } from "./hash-orders.ts"
import { type BeginOptions, type Hashed, Reading, type ReadOptions } from "./reading.ts"
import { fileChanged, type ToError, withRegularFile } from "./regular-file.ts"
import { SharedBlocks } from "./shared-blocks.ts"

export interface FileHasherOptions {
  readonly threads?: number
  /** How large the parts of a file of `size` bytes are, a multiple of 2 MiB; `null`: it has none. */
  readonly partSizeFor?: (size: number) => number | null
  readonly toError?: ToError
}

export interface HashOptions extends ReadOptions {
  /** Also hash the parts that `partSizeFor` says. */
  readonly parts?: boolean
}

export interface FileDigests {
  readonly size: number
  /** SHA-256, hex. */
  readonly digest: string
  /** Those of consecutive parts, where the file has any and they were asked for. */
  readonly parts?: readonly string[]
}

/** Bytes of an open file: `size` of them from `start` on. */
export interface ByteRange {
  readonly start: number
  readonly size: number
}

interface RangeOptions extends ReadOptions {
  /** The bytes are to stay in memory. */
  readonly keep?: boolean
}

const blockSize = 2 ** 21
const blocksPerThread = 8
/** Bytes that are hashed sooner than a thread is told of them. */
const little = 2 ** 16

export class FileHasher {
  readonly #threads: readonly WorkerThread<HashOrder, HashReply>[]
  readonly #partSizeFor: (size: number) => number | null
  readonly #toError: ToError
  #blocks: SharedBlocks | null = null
  #nextThread = 0
  #nextStream = 0

  constructor(options: FileHasherOptions = {}) {
    const { threads = Math.max(2, Math.min(8, availableParallelism())), partSizeFor, toError } = options
    const file = workerFile("./hash-worker", import.meta.url)
    this.#threads = Array.from({ length: threads }, () => new WorkerThread(file, { name: "hash" }))
    this.#partSizeFor = partSizeFor ?? (() => null)
    this.#toError = toError ?? ((error) => error)
  }

  get threads(): number {
    return this.#threads.length
  }

  /**
   * Refuses what is not a regular file (FILE_UNREADABLE), and a file whose size, times or identity change while it is
   * read (FILE_CHANGED). Symbolic links are not followed.
   */
  async hashFile(path: string, options: HashOptions = {}): Promise<FileDigests> {
    const { parts = false, ...reading } = options
    return await withRegularFile(path, this.#toError, async (file, size) => {
      if (parts && this.#partSizeFor(size) !== null) return await this.#hash(file, size, path, options)
      const { digest } = await this.#hashRange(file, { start: 0, size }, reading, path)
      return { size, digest }
    })
  }

  /** Of bytes that come from elsewhere: exactly `size` of them, or FILE_CHANGED; what reading them throws is thrown on. */
  async hashBytes(chunks: AsyncIterable<Uint8Array>, size: number, options: HashOptions = {}): Promise<FileDigests> {
    const source = new ChunkSource(chunks)
    try {
      const digests = await this.#hash(source, size, "the source", options)
      if ((await source.read(new Uint8Array(1), 0, 1)).bytesRead > 0) throw this.#changed("the source")
      return digests
    } finally {
      await source.close()
    }
  }

  /** A file that is read from front to back, as far as it is there. */
  begin(file: FileHandle, options: BeginOptions = {}): Reading {
    return this.#begin(file, options, "the file")
  }

  /** The bytes of a range of an open file. FILE_CHANGED when the file ends before. */
  async hashRange(file: FileHandle, range: ByteRange, options: RangeOptions = {}): Promise<Hashed> {
    return await this.#hashRange(file, range, options, "the file")
  }

  /** What is under way fails. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()))
  }

  #begin(file: FileHandle, options: BeginOptions, what: string): Reading {
    return new Reading(leastBusy(this.#threads), this.#nextStream++, file, options, () => this.#changed(what))
  }

  async #hashRange(file: FileHandle, range: ByteRange, options: RangeOptions, what: string): Promise<Hashed> {
    const { start, size } = range
    const { keep = false, ...rest } = options
    if (size <= little) return await this.#hashLittle(rangeSource(file, start), size, what, options)
    const reading = this.#begin(file, { ...rest, start, ...(keep ? { keep: size } : {}) }, what)
    try {
      await reading.next(size)
      return await reading.end()
    } catch (error) {
      await reading.forget()
      throw error
    }
  }

  async #hash(source: ByteSource, size: number, what: string, options: HashOptions): Promise<FileDigests> {
    const { parts = false, ...reading } = options
    const partSize = parts ? this.#partSizeFor(size) : null
    if (partSize !== null && partSize % blockSize !== 0) throw new RangeError(`parts of ${partSize} bytes`)
    if (size <= little && partSize === null) {
      const { digest } = await this.#hashLittle(source, size, what, reading)
      return { size, digest }
    }
    const whole = this.#takeThread()
    const hashing = new BlockHashing({
      source,
      size,
      partSize,
      blockSize,
      blocks: (this.#blocks ??= new SharedBlocks(this.threads * blocksPerThread, blockSize)),
      threads: { whole, parts: partSize === null ? whole : this.#takeThread() },
      nextStream: () => this.#nextStream++,
      ended: () => this.#changed(what),
    })
    const found = await hashing.run(reading)
    return partSize === null ? { size, digest: found.digest } : { size, ...found }
  }

  /** A message to a thread, let alone the thread, costs more than this. */
  async #hashLittle(source: ByteSource, size: number, what: string, options: ReadOptions): Promise<Hashed> {
    options.signal?.throwIfAborted()
    const bytes = new Uint8Array(size)
    if (!(await fill(source, bytes))) throw this.#changed(what)
    options.onBytes?.(size)
    return { digest: createHash("sha256").update(bytes).digest("hex"), bytes }
  }

  /** In turn: how busy they are does not say which of them has long streams before it. */
  #takeThread(): WorkerThread<HashOrder, HashReply> {
    const thread = this.#threads[this.#nextThread++ % this.#threads.length]
    if (thread === undefined) throw new RangeError("a hasher has at least one thread")
    return thread
  }

  #changed(what: string): Error {
    return this.#toError(fileChanged(what))
  }
}
