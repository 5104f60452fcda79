/**
 * A file that is hashed behind whoever writes it: from front to back, as far as its pieces are there, each piece and the
 * whole from one read.
 */
import type { FileHandle } from "node:fs/promises"
import type { Resource } from "@weighlock/manifest"
import type { FileHasher, Hashed, Reading } from "@weighlock/node"
import { type Piece, piecesOf } from "./fetch-piece.ts"
import { mismatch } from "./receive.ts"

export interface WholeOptions {
  /** The bytes are to stay in memory. */
  readonly keep: boolean
  /** Told that bytes were hashed. What it throws is thrown by `end`. */
  readonly onBytes: () => void
}

export class Whole {
  readonly #hasher: FileHasher
  readonly #file: FileHandle
  /** In order. */
  readonly pieces: readonly Piece[]
  readonly #resource: Resource
  #failure: { readonly error: unknown } | null = null
  readonly #options: WholeOptions
  #reading: Reading | null = null
  readonly #there = new Set<number>()
  #next = 0
  /** What was asked for is right, as far as it is answered; `before`: all but the last of it. */
  #work = Promise.resolve()
  #before = Promise.resolve()

  constructor(hasher: FileHasher, file: FileHandle, resource: Resource, options: WholeOptions) {
    this.#hasher = hasher
    this.#file = file
    this.#resource = resource
    this.pieces = piecesOf(resource)
    this.#options = options
  }

  /** The piece is written. Throws what was found out about earlier ones: DIGEST_MISMATCH, FILE_CHANGED, what `onBytes` throws. */
  has({ at }: Piece): void {
    if (this.#failure !== null) throw this.#failure.error
    if (this.pieces.length === 1) return
    this.#there.add(at)
    this.#reading ??= this.#begin()
    for (
      let piece = this.pieces[this.#next];
      piece && this.#there.delete(this.#next);
      piece = this.pieces[++this.#next]
    )
      this.#follow(this.#reading, piece)
  }

  #begin(): Reading {
    const { keep, onBytes } = this.#options
    return this.#hasher.begin(this.#file, { onBytes, ...(keep ? { keep: this.#resource.size } : {}) })
  }

  /** One piece ahead: the thread has something to do while this one hears of the last. */
  #follow(reading: Reading, piece: Piece): void {
    const found = this.#before.then(() => reading.nextPart(piece.length))
    this.#before = this.#work
    this.#work = Promise.all([found, this.#work])
      .then(([digest]) => requireDigest(piece, digest))
      .catch((error: unknown) => {
        throw (this.#failure ??= { error }).error
      })
    this.#work.catch(() => undefined) // `has` and `end` throw it
  }

  /** Once every piece is there: DIGEST_MISMATCH unless all of them and the whole are what was signed. Throws as `has` does. */
  async end(): Promise<Hashed> {
    await this.#work
    const hashed =
      this.#reading === null
        ? await this.#hasher.hashRange(this.#file, { start: 0, size: this.#resource.size }, this.#options)
        : await this.#reading.end()
    const { name, digest } = this.#resource
    if (hashed.digest === digest) return hashed
    if (this.#reading === null) throw wrong(name, digest, hashed.digest)
    throw mismatch(`${name}: the parts match what was signed, the whole does not`)
  }

  /** Instead of `end`, or after it failed. The file may be closed afterwards. */
  async forget(): Promise<void> {
    await this.#work.catch(() => undefined)
    await this.#reading?.forget()
  }
}

function requireDigest({ name, digest }: Piece, found: string): void {
  if (found !== digest) throw wrong(name, digest, found)
}

function wrong(name: string, signed: string, found: string): Error {
  return mismatch(`${name}: signed sha256:${signed}, received sha256:${found}`)
}
