/**
 * Takes the body of one part and answers whether it is exactly the declared bytes: counted and hashed while it arrives,
 * whether it is written into its place in a file or the part is there already.
 */
import { createHash } from "node:crypto"
import type { FileHandle } from "node:fs/promises"

import { ManifestError } from "@weighlock/manifest"

import { RegistryError } from "../errors.ts"
import type { Part } from "./blobs.ts"
import type { BodyReader } from "./body-reader.ts"

/** The body of one part, taken by one reader at a time. DIGEST_MISMATCH: fewer, more or other bytes than the part declares. */
export class PartBody {
  readonly #part: Part
  readonly #reader: BodyReader
  readonly #hash = createHash("sha256")
  #size = 0
  #ended = false

  constructor(part: Part, reader: BodyReader) {
    this.#part = part
    this.#reader = reader
  }

  /** Whether it was read to its end, and is what it should be. */
  get ended(): boolean {
    return this.#ended
  }

  /**
   * Reading stops at the first byte too many. Rejects when `signal` fires (a newer request writes the same part), and then
   * writes no more.
   */
  async writeTo(file: FileHandle, signal: AbortSignal): Promise<void> {
    await this.#take(signal, (chunk, at) => writeAll(file, chunk, this.#part.offset + at))
  }

  /** What is left of a body that is kept nowhere: its part is there, or a newer request writes it. UNAVAILABLE at `signal`. */
  async compare(signal: AbortSignal): Promise<void> {
    try {
      await this.#take(signal, () => Promise.resolve())
    } catch (cause) {
      if (!signal.aborted) throw cause
      throw new RegistryError("UNAVAILABLE", `part ${this.#part.number} did not arrive in time`, { cause })
    }
  }

  async #take(signal: AbortSignal, keep: (chunk: Uint8Array, at: number) => Promise<void>): Promise<void> {
    const { length, digest } = this.#part
    for (let chunk = await this.#reader.next(signal); chunk; chunk = await this.#reader.next(signal)) {
      const at = this.#size
      if (at + chunk.length > length) throw this.#mismatch(`more than ${length} bytes`)
      this.#hash.update(chunk)
      this.#size += chunk.length
      await keep(chunk, at)
    }
    if (this.#size !== length) throw this.#mismatch(`${this.#size} of ${length} bytes`)
    const found = this.#hash.copy().digest("hex") // it may be asked again
    if (found !== digest) throw this.#mismatch(`declared ${digest}, received ${found}`)
    this.#ended = true
  }

  #mismatch(found: string): ManifestError {
    return new ManifestError("DIGEST_MISMATCH", `part ${this.#part.number}: ${found}`)
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  let done = 0
  try {
    while (done < chunk.length) {
      const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position + done)
      done += bytesWritten
    }
  } catch (cause) {
    throw new RegistryError("UNAVAILABLE", "the blob store's disk refused", { cause })
  }
}
