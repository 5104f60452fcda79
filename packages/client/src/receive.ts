/** Bytes on their way in: bounded by the signed size, and worth nothing before they are hashed where they were written. */
import { writeSync } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { ManifestError } from "@weighlock/manifest"
import type { SerialQueue } from "@weighlock/node"
import { freeChunk } from "./chunk-memory.ts"
import { Unreachable } from "./errors.ts"
import type { Incoming } from "./incoming.ts"

/** What must arrive: so many bytes, for this place in the file. `name` is for the error. */
export interface Expected {
  readonly name: string
  readonly offset: number
  readonly length: number
}

export interface Destination {
  readonly file: FileHandle
  readonly blocks: Blocks
  readonly writes: SerialQueue
  /** Told that bytes came. What it throws is thrown on. */
  moved(): void
}

/** Bytes that are written at a time: while they are, more may arrive. */
const block = 2 ** 18
/** That wait to be written, of all files. */
const mostOut = 32

/** Memory that is used again and again: fresh blocks would cost more in page faults and collections than writing them. */
export class Blocks {
  readonly #spare: Buffer[] = []
  #out = 0

  take(bytes: number): Buffer {
    this.#out++
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(Math.min(block, bytes))
  }

  give(memory: Buffer): void {
    this.#out--
    if (memory.length === block) this.#spare.push(memory)
  }

  /** The disk is slower than the network. */
  get areOut(): boolean {
    return this.#out >= mostOut
  }
}

/**
 * Writes what comes to its place. Throws DIGEST_MISMATCH as soon as a byte too many comes, or at the end; what the answer
 * throws when it breaks off, after `onKept` was told how many of its bytes were written all the same. No write is under way
 * when this ends.
 */
export async function receive(
  answer: Incoming,
  want: Expected,
  to: Destination,
  onKept: (bytes: number) => void,
): Promise<void> {
  const writer = new Writer(to, want)
  let received = 0
  let last: Uint8Array | null = null
  try {
    await answer
      .read((chunk) => {
        if (last !== null) freeChunk(last) // whoever handed it over is done with it only now
        last = chunk
        to.moved()
        if ((received += chunk.length) > want.length)
          throw mismatch(`${want.name}: more than the signed ${want.length} bytes`)
        writer.write(chunk)
      })
      .catch(async (error: unknown) => {
        if (error instanceof Unreachable && (await writer.end().catch(() => false)) !== false) onKept(received)
        throw error
      })
    await writer.end()
  } finally {
    await writer.stop()
  }
  if (received !== want.length) throw mismatch(`${want.name}: ${received} of the signed ${want.length} bytes`)
}

/** Gathers chunks, however small, in blocks, and writes one at a time. */
class Writer {
  readonly #to: Destination
  #block: Buffer | null = null
  #used = 0
  /** Of bytes that were not gathered yet. */
  #left: number
  #position: number
  #writing = Promise.resolve()
  #failure: { readonly error: unknown } | null = null
  #isStopped = false

  constructor(to: Destination, { offset, length }: Expected) {
    this.#to = to
    this.#position = offset
    this.#left = length
  }

  /** Throws what an earlier block could not be written for. */
  write(chunk: Uint8Array): void {
    if (this.#failure !== null) throw this.#failure.error
    for (let at = 0; at < chunk.length;) {
      const memory = (this.#block ??= this.#to.blocks.take(this.#left))
      const piece = chunk.subarray(at, at + memory.length - this.#used)
      memory.set(piece, this.#used)
      at += piece.length
      this.#used += piece.length
      this.#left -= piece.length
      if (this.#used === memory.length) this.#flush()
    }
  }

  #flush(): void {
    const memory = this.#block
    if (memory === null) return
    const [bytes, position] = [memory.subarray(0, this.#used), this.#position]
    this.#position += this.#used
    this.#used = 0
    this.#block = null
    const { file, writes, blocks } = this.#to
    // The connection cannot be paused, so what comes too fast waits here until it is written.
    if (blocks.areOut) {
      writeNow(file.fd, bytes, position)
      return blocks.give(memory)
    }
    this.#writing = this.#writing
      .then(() => (this.#isStopped ? undefined : writes.run(() => writeAll(file, bytes, position))))
      .catch((error: unknown) => {
        this.#failure ??= { error }
        this.#isStopped = true
      })
      .then(() => blocks.give(memory))
  }

  async end(): Promise<void> {
    this.#flush()
    await this.#writing
    if (this.#failure !== null) throw this.#failure.error
  }

  /** What waits is not written any more: the file may be somebody else's by now. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#writing
    if (this.#block !== null) this.#to.blocks.give(this.#block)
    this.#block = null
  }
}

/** A file system may write less than it was given (a disk that fills up) without an error: the next call has it. */
async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at)
    at += bytesWritten
  }
}

function writeNow(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, position + at)
}

export function mismatch(message: string): ManifestError {
  return new ManifestError("DIGEST_MISMATCH", message, {
    hint: "nothing of it was used; ask the publisher, and look at who can write the store",
  })
}
