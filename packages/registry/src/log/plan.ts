/**
 * What one commit will hold, decided before anything is written. Pure: facts in, plan out.
 *
 *     head 41, facts of three candidates  ->  acme/mnist 1.2.0        entry 41
 *                                             acme/mnist 1.2.0 again  the same entry
 *                                             acme/bert  2.0.0        refused: a blob is missing
 *
 * The rules are those of `@weighlock/manifest`: entries are made by them, and judged by them again before they are committed.
 */
import {
  type AdmittedPublish,
  DraftHistory,
  type History,
  HistoryError,
  ManifestError,
  type ModelHead,
  type NextEntry,
  type TrustChain,
  judgePublish,
  nextPublish,
} from "@weighlock/manifest"

import type { Facts, NewEntry } from "../store/ledger.ts"

/** A publication that asks for its place in the log. */
export interface Candidate extends AdmittedPublish {
  /** Digests of the blobs it needs. */
  readonly blobs: readonly string[]
}

/** What became of a candidate. */
export type Outcome =
  | { readonly kind: "appended"; readonly entry: NextEntry; readonly index: number }
  /** This very manifest was published before. */
  | { readonly kind: "held"; readonly index: number }
  | { readonly kind: "missing"; readonly blobs: readonly string[] }
  | { readonly kind: "refused"; readonly error: ManifestError }

export interface Plan {
  /** One a candidate, in order. */
  readonly outcomes: readonly Outcome[]
  readonly entries: readonly NewEntry[]
  readonly lastAt: number
}

/** What is before the batch. */
export interface Before {
  readonly trustChain: TrustChain
  readonly size: number
  readonly lastAt: number
}

/** `at`: ms since epoch. Throws what `applyEntry` throws only when we made an entry that we must not make. */
export function planPublishes(before: Before, batch: readonly Candidate[], facts: readonly Facts[], at: number): Plan {
  const known = new KnownFacts(before, batch, facts)
  const draft = new DraftHistory(known)
  const entries: NewEntry[] = []
  const outcomes = batch.map((candidate, i): Outcome => {
    const outcome = decide(draft, known, candidate, facts[i]?.missing ?? candidate.blobs, at)
    if (outcome.kind !== "appended") return outcome
    draft.apply(outcome.entry.opened)
    known.holders.set(nameOf(candidate), { index: outcome.index, digest: candidate.digest })
    entries.push(newEntry(outcome.index, outcome.entry, candidate))
    return outcome
  })
  return { outcomes, entries, lastAt: draft.lastAt }
}

function decide(
  draft: DraftHistory,
  { holders }: KnownFacts,
  candidate: Candidate,
  missing: readonly string[],
  at: number,
): Outcome {
  try {
    const holder = holders.get(nameOf(candidate)) ?? null
    if (judgePublish(holder, candidate) === "same" && holder) return { kind: "held", index: holder.index }
    if (missing.length > 0) return { kind: "missing", blobs: missing }
    return { kind: "appended", entry: nextPublish(draft, candidate, at), index: draft.size }
  } catch (error) {
    // The trust root was in force when the publish was admitted, a moment ago.
    if (error instanceof HistoryError && error.rule === "expiry")
      return { kind: "refused", error: new ManifestError("TRUST_EXPIRED", error.message, { cause: error }) }
    if (error instanceof ManifestError) return { kind: "refused", error }
    throw error
  }
}

/** The rows of an entry that was just made. */
export function newEntry(index: number, { entry, leaf, opened, payload }: NextEntry, candidate?: Candidate): NewEntry {
  const { model, seq, payload: named } = leaf
  return {
    index,
    leaf: entry,
    hash: opened.hash,
    ...(model !== undefined && seq !== undefined && { place: { model, seq } }),
    ...(named.inline === undefined && { payload: { sha256: named.sha256, bytes: payload } }),
    ...(leaf.op === "trust" && { trustRoot: { version: Number(leaf.subject), digest: named.sha256 } }),
    ...(candidate && { manifest: candidate }),
  }
}

interface Holder {
  readonly index: number
  readonly digest: string
}

/** The history as far as the ledger's facts tell it: enough to judge this batch, and nothing else. */
class KnownFacts implements History {
  readonly trustChain: TrustChain
  readonly size: number
  readonly lastAt: number
  /** Who holds a version, also among the entries planned so far. */
  readonly holders = new Map<string, Holder>()
  readonly #models = new Map<string, ModelHead>()

  constructor({ trustChain, size, lastAt }: Before, batch: readonly Candidate[], facts: readonly Facts[]) {
    this.trustChain = trustChain
    this.size = size
    this.lastAt = lastAt
    for (const [i, { holder, newest }] of facts.entries()) {
      const candidate = batch[i] as Candidate
      if (newest) this.#models.set(candidate.model, { seq: newest.seq, leaf: newest.hash })
      if (holder) this.holders.set(nameOf(candidate), holder)
    }
  }

  model(name: string): ModelHead | null {
    return this.#models.get(name) ?? null
  }

  bound(model: string, version: string): string | null {
    return this.holders.get(nameOf({ model, version }))?.digest ?? null
  }
}

/** Neither a model nor a version holds an "@". */
export const nameOf = ({ model, version }: { readonly model: string; readonly version: string }): string =>
  `${model}@${version}`
