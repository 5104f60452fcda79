/** A file that is hashed behind whoever writes it: from front to back, as far as its pieces are there. */
import type { FileHandle } from "node:fs/promises"
import type { Hashed, HashReader, Reading } from "@weighlock/manifest/node"
import type { Piece } from "./fetch-piece.ts"

export interface WholeOptions {
  /** The bytes are to stay in memory. */
  readonly keep: boolean
  /** Told that bytes were hashed. What it throws is thrown by `end`. */
  readonly onBytes: () => void
}

export class Whole {
  readonly #hashes: HashReader
  readonly #file: FileHandle
  readonly #pieces: readonly Piece[]
  readonly #size: number
  readonly #options: WholeOptions
  #reading: Reading | null = null
  readonly #there = new Set<number>()
  #next = 0
  #work = Promise.resolve()

  constructor(hashes: HashReader, file: FileHandle, pieces: readonly Piece[], options: WholeOptions) {
    this.#hashes = hashes
    this.#file = file
    this.#pieces = pieces
    this.#size = pieces.reduce((sum, { length }) => sum + length, 0)
    this.#options = options
  }

  /** The piece is written. */
  has({ at }: Piece): void {
    if (this.#pieces.length === 1) return
    this.#there.add(at)
    this.#reading ??= this.#begin()
    for (
      let piece = this.#pieces[this.#next];
      piece && this.#there.delete(this.#next);
      piece = this.#pieces[++this.#next]
    )
      this.#follow(this.#reading, piece)
  }

  #begin(): Reading {
    const { keep, onBytes } = this.#options
    return this.#hashes.begin(this.#file, { onBytes, ...(keep ? { keep: this.#size } : {}) })
  }

  #follow(reading: Reading, { length }: Piece): void {
    this.#work = this.#work.then(() => reading.next(length))
    this.#work.catch(() => undefined) // `end` throws it
  }

  /** Once every piece is there. */
  async end(): Promise<Hashed> {
    await this.#work
    return this.#reading === null
      ? await this.#hashes.hash(this.#file, { start: 0, size: this.#size }, this.#options)
      : await this.#reading.end()
  }

  /** Instead of `end`, or after it failed. The file may be closed afterwards. */
  async forget(): Promise<void> {
    await this.#work.catch(() => undefined)
    await this.#reading?.forget()
  }
}
