/** Bytes on their way in: bounded by the signed size, and worth nothing before they are hashed where they were written. */
import type { FileHandle } from "node:fs/promises"
import { ManifestError } from "@weighlock/manifest"
import type { Slots } from "./at-once.ts"
import type { Incoming } from "./incoming.ts"
import { chunkUsed } from "./young-memory.ts"

/** What must arrive: so many bytes, for this place in the file. `name` is for the error. */
export interface Expected {
  readonly name: string
  readonly offset: number
  readonly length: number
}

export interface Destination {
  readonly file: FileHandle
  readonly writes: Slots
  /** Told that bytes came. What it throws is thrown on. */
  moved(): void
}

/** Bytes that are written at a time: while they are, as many more may arrive. */
const block = 2 ** 19

/**
 * Writes what comes to its place. Throws DIGEST_MISMATCH as soon as a byte too many comes, or at the end, and what the answer
 * throws when it breaks off.
 */
export async function receive(answer: Incoming, want: Expected, to: Destination): Promise<void> {
  const writer = new Writer(to, want.offset)
  let received = 0
  try {
    await answer.read((chunk) => {
      to.moved()
      chunkUsed(chunk.length)
      if ((received += chunk.length) > want.length)
        throw mismatch(`${want.name}: more than the signed ${want.length} bytes`)
      return writer.write(chunk)
    })
  } finally {
    await writer.end()
  }
  if (received !== want.length) throw mismatch(`${want.name}: ${received} of the signed ${want.length} bytes`)
}

/** Writes large blocks, one at a time, while the next one gathers. */
class Writer {
  readonly #to: Destination
  #position: number
  #chunks: Uint8Array[] = []
  #held = 0
  #writing: Promise<void> | null = null

  constructor(to: Destination, position: number) {
    this.#to = to
    this.#position = position
  }

  /** A promise when there is enough for now. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    this.#chunks.push(chunk)
    this.#held += chunk.length
    return this.#held < block ? undefined : this.#flush()
  }

  /** What is held is on its way, or waits for what is. */
  #flush(): Promise<void> | undefined {
    if (this.#writing !== null) return this.#writing.then(() => this.#flush())
    const [chunks, position] = [this.#chunks, this.#position]
    this.#chunks = []
    this.#position += this.#held
    this.#held = 0
    const { file, writes } = this.#to
    const writing = writes.run(() => writeAll(file, chunks, position)).then(() => void (this.#writing = null))
    writing.catch(() => undefined) // whoever comes next is told
    this.#writing = writing
    return undefined
  }

  async end(): Promise<void> {
    await this.#flush()
    await this.#writing
  }
}

/** A file system may write less than it was given (a disk that fills up) without an error: the next call has it. */
async function writeAll(file: FileHandle, chunks: readonly Uint8Array[], position: number): Promise<void> {
  let left = chunks
  for (let at = position; left.length > 0;) {
    const { bytesWritten } = await file.writev(left, at)
    at += bytesWritten
    left = after(left, bytesWritten)
  }
}

function after(chunks: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let skip = count
  for (const [at, chunk] of chunks.entries()) {
    if (skip < chunk.length) return [chunk.subarray(skip), ...chunks.slice(at + 1)]
    skip -= chunk.length
  }
  return []
}

export function mismatch(message: string): ManifestError {
  return new ManifestError("DIGEST_MISMATCH", message, {
    hint: "nothing of it was used; ask the publisher, and look at who can write the store",
  })
}
