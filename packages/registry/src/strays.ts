/**
 * Blobs in a bucket that the ledger does not know: a process died after it put one in its place and before it recorded it, or
 * after it forgot one and before it removed it.
 *
 *     3c1a… known   7f83… unknown, two days old: a stray   9f86… unknown, since a minute: somebody may be recording it
 *
 * A run looks at the next 10,000 digests, and the one after it goes on there, so that every bucket is gone round in time and
 * none is listed at length. The first begins anywhere: also a registry that is often started anew comes by everywhere.
 */
import { randomBytes } from "node:crypto"

import type { Ledger } from "./store/ledger.ts"

const lookedAt = 10_000
const askedAtOnce = 250

export interface Kept {
  readonly sha256: string
  /** ms since epoch, by the bucket's clock. */
  readonly modified: number
}

export interface StraysOptions {
  readonly ledger: Pick<Ledger, "blobs">
  /** Every blob that is there, in the order of the digests, from behind `after` on. */
  readonly kept: (after: string) => AsyncIterable<Kept>
  /** Since when (ms since epoch) this ledger records what comes there. What is older may be known to one that was lost. */
  readonly since: number
  /** How many a run looks at; 10,000. */
  readonly most?: number
}

export class Strays {
  readonly #options: StraysOptions
  #after: string = randomBytes(32).toString("hex")

  constructor(options: StraysOptions) {
    this.#options = options
  }

  /** Of the next ones those that nobody knew when they were looked at, and that were put there before `before`. */
  async next(before: number): Promise<readonly string[]> {
    const { since, most = lookedAt } = this.#options
    const old: string[] = []
    let left = most
    for await (const { sha256, modified } of this.#round(this.#after)) {
      this.#after = sha256
      if (modified >= since && modified < before) old.push(sha256)
      if ((left -= 1) === 0) break
    }
    const strays: string[] = []
    for (let at = 0; at < old.length; at += askedAtOnce)
      strays.push(...(await this.#unknown(old.slice(at, at + askedAtOnce))))
    return strays
  }

  /** Each blob once. */
  async *#round(from: string): AsyncGenerator<Kept> {
    yield* this.#options.kept(from)
    for await (const each of this.#options.kept("")) {
      if (each.sha256 > from) return
      yield each
    }
  }

  async #unknown(digests: readonly string[]): Promise<readonly string[]> {
    const known = await this.#options.ledger.blobs(digests)
    return digests.filter((sha256) => !known.has(sha256))
  }
}
