/**
 * Histories that grow entry by entry: the whole of a log as an auditor replays it, and a draft as a sequencer plans it.
 *
 *     const replayed = new ReplayedHistory(trustChain)
 *     replayed.apply(openEntry(entry0, null, keys, "native"))      // genesis
 *     replayed.bound("acme/mnist", "1.2.0")                        // "4d3c…", or null
 */
import { decodeHex, encodeHex } from "./encoding.ts"
import type { OpenedEntry } from "./entry.ts"
import { applyEntry, type Growing, type History, type ModelHead } from "./history.ts"
import { NameTable } from "./name-table.ts"
import { Rows } from "./rows.ts"
import type { TrustChain } from "./trust-chain.ts"

const hashLength = 32

/**
 * Everything a log has fixed, from its first entry on. A million versions take about 100 MB: names in flat tables, hashes in
 * rows beside them.
 *
 * An entry that breaks a rule is in the log all the same: `apply` throws for it and goes on from it, so that what follows
 * is judged by what the log says and one finding does not become many.
 */
export class ReplayedHistory implements Growing {
  readonly trustChain: TrustChain
  readonly #models = new NameTable()
  readonly #heads = new Rows(hashLength)
  readonly #seqs: number[] = []
  readonly #versions = new NameTable()
  readonly #manifests = new Rows(hashLength)
  #size = 0
  #lastAt = 0

  constructor(trustChain: TrustChain) {
    this.trustChain = trustChain
  }

  get size(): number {
    return this.#size
  }

  get lastAt(): number {
    return this.#lastAt
  }

  model(name: string): ModelHead | null {
    const row = this.#models.find(name)
    return row < 0 ? null : { seq: this.#seqs[row] ?? 0, leaf: this.#heads.get(row) }
  }

  bound(model: string, version: string): string | null {
    const row = this.#versions.find(versionKey(model, version))
    return row < 0 ? null : encodeHex(this.#manifests.get(row))
  }

  /** Throws HistoryError, and has added the entry nevertheless. */
  apply(opened: OpenedEntry): void {
    try {
      applyEntry(this, opened)
    } finally {
      this.#add(opened)
    }
  }

  /** An entry that could not be opened: it takes its index, and nothing else is known of it. */
  skip(): void {
    this.#size++
  }

  /** How many versions are bound. */
  get versions(): number {
    return this.#versions.length
  }

  /** Every bound version, in the order in which they were bound. */
  *bindings(): Generator<{ readonly model: string; readonly version: string; readonly digest: string }> {
    for (let row = 0; row < this.#versions.length; row++) {
      const [model = "", version = ""] = this.#versions.name(row).split("@")
      yield { model, version, digest: encodeHex(this.#manifests.get(row)) }
    }
  }

  /** Every model, in the order of first entries. */
  *models(): Generator<string> {
    for (let row = 0; row < this.#models.length; row++) yield this.#models.name(row)
  }

  #add({ at, hash, op, model, seq, subject, payload }: OpenedEntry): void {
    this.#size++
    this.#lastAt = Math.max(this.#lastAt, at)
    if (op !== "publish" || model === undefined || seq === undefined || subject === undefined) return
    this.#moveHead(model, seq, hash)
    this.#bind(versionKey(model, subject), payload.sha256)
  }

  #moveHead(model: string, seq: number, hash: Uint8Array): void {
    const row = this.#models.add(model)
    if (row === this.#seqs.length) this.#heads.push(hash)
    else this.#heads.set(row, hash)
    this.#seqs[row] = seq
  }

  // What was bound first stays bound.
  #bind(key: string, digest: string): void {
    const [known, row] = [this.#versions.length, this.#versions.add(key)]
    if (row === known) this.#manifests.push(decodeHex(digest, "a digest"))
  }
}

function versionKey(model: string, version: string): string {
  return `${model}@${version}` // neither may hold "@"
}

/** A history on top of another, which stays as it is: what one commit will add. An entry that is refused is not added. */
export class DraftHistory implements Growing {
  readonly #base: History
  readonly #heads = new Map<string, ModelHead>()
  readonly #bound = new Map<string, string>()
  #size: number
  #lastAt: number

  constructor(base: History) {
    this.#base = base
    this.#size = base.size
    this.#lastAt = base.lastAt
  }

  get trustChain(): TrustChain {
    return this.#base.trustChain
  }

  get size(): number {
    return this.#size
  }

  get lastAt(): number {
    return this.#lastAt
  }

  model(name: string): ModelHead | null {
    return this.#heads.get(name) ?? this.#base.model(name)
  }

  bound(model: string, version: string): string | null {
    return this.#bound.get(versionKey(model, version)) ?? this.#base.bound(model, version)
  }

  apply(opened: OpenedEntry): void {
    applyEntry(this, opened)
    const { at, hash, model, seq, subject, payload } = opened
    this.#size++
    this.#lastAt = at
    if (model === undefined || seq === undefined || subject === undefined) return
    this.#heads.set(model, { seq, leaf: hash })
    this.#bound.set(versionKey(model, subject), payload.sha256)
  }
}
