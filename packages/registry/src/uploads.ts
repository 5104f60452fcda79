/**
 * Decides about uploads: what is present, what is needed, who may send it, and when the registry has proven it.
 *
 *     { "files": [{ "sha256": "9f86d081…", "size": 4 }] }   ->   present | proving | needed + grants for missing parts
 *
 * "present" means that the registry itself computed the digest of the whole file and recorded it in the ledger, and that
 * the store still has a file of that size. One that it has not is "needed" again: publishing it once more heals it.
 */
import { setTimeout } from "node:timers/promises"

import { ManifestError } from "@weighlock/manifest"
import { forEach } from "@weighlock/node"

import { RegistryError } from "./errors.ts"
import type { Sequencer } from "./sequencer.ts"
import type { BlobStore, Grant, Upload } from "./store/blobs.ts"
import type { BlobFacts, Ledger } from "./store/ledger.ts"

export const maxGrantsPerCall = 256
const maxProofs = 1024
const asksAtOnce = 16
/** A blob that was there so many ms ago is taken to be there, where many publishes need the same ones. */
const seenLife = 1000
const maxSeen = 10_000

export interface UploadState {
  readonly sha256: string
  readonly state: "present" | "proving" | "needed"
  readonly grants: readonly Grant[]
}

export interface UploadsOptions {
  readonly ledger: Ledger
  readonly blobs: BlobStore
  readonly records: Sequencer<BlobFacts, BlobFacts>
  /** `Ledger.noteUnrecorded`, of a digest at a time. */
  readonly notes: Sequencer<string, unknown>
  /** `Ledger.forgetBlobs`, where no publication is between its facts and its commit. */
  readonly forgetBlobs: (before: number) => Promise<readonly string[]>
  /** How long `complete` waits for the proof before it answers "proving", in ms. */
  readonly answerMs: number
  /** Told of a blob that the ledger knows and the store has not, or not as it was. */
  readonly onDamaged: (sha256: string) => void
}

export class Uploads {
  readonly #options: UploadsOptions
  /** Proofs under way, and failed ones until somebody asks. */
  readonly #proofs = new Map<string, Promise<BlobFacts>>()
  /** Blobs found as they were proven, and when; by the clock that never goes back. */
  readonly #seen = new Map<string, { readonly facts: BlobFacts; readonly at: number }>()
  /** Removals under way: proofs of the same digests come after them. */
  readonly #removals = new Map<string, Promise<void>>()

  constructor(options: UploadsOptions) {
    this.#options = options
  }

  /** DIGEST_MISMATCH: a digest is known with another size or other parts. */
  async ask(files: readonly Upload[]): Promise<readonly UploadState[]> {
    const states: UploadState[] = []
    let left = maxGrantsPerCall
    for (let at = 0; at < files.length; at += asksAtOnce) {
      const together = await Promise.all(files.slice(at, at + asksAtOnce).map((file) => this.#ask(file, left)))
      for (const { grants, ...state } of together) {
        states.push({ ...state, grants: grants.slice(0, left) })
        left -= Math.min(left, grants.length)
      }
    }
    return states
  }

  async #ask(file: Upload, left: number): Promise<UploadState> {
    const { sha256 } = file
    // In this order: a proof that ends in between is in the ledger.
    if (this.#proofs.has(sha256)) return { sha256, state: "proving", grants: [] }
    const known = (await this.#options.ledger.blobs([sha256])).get(sha256)
    if (known) {
      requireSameBytes(file, known)
      if ((await this.damaged([known])).length === 0) return { sha256, state: "present", grants: [] }
    }
    const grants = left > 0 ? await this.#options.blobs.declare(file, left) : []
    return { sha256, state: "needed", grants }
  }

  /** Which of these are recorded, and in the store in their size; the others are missing, and reported if they are damaged. */
  async present(
    digests: readonly string[],
  ): Promise<{ readonly present: ReadonlyMap<string, BlobFacts>; readonly missing: readonly string[] }> {
    const now = performance.now()
    const present = new Map<string, BlobFacts>()
    const unseen: string[] = []
    for (const sha256 of new Set(digests)) {
      const seen = this.#seen.get(sha256)
      if (seen && now - seen.at < seenLife) present.set(sha256, seen.facts)
      else unseen.push(sha256)
    }
    if (unseen.length === 0) return { present, missing: [] }
    const known = await this.#options.ledger.blobs(unseen)
    const damaged = new Set(await this.damaged(known.values()))
    for (const [sha256, facts] of known) if (!damaged.has(sha256)) present.set(sha256, this.#see(facts, now))
    return { present, missing: unseen.filter((sha256) => !present.has(sha256)) }
  }

  #see(facts: BlobFacts, at: number): BlobFacts {
    if (this.#seen.size >= maxSeen) this.#seen.clear()
    this.#seen.set(facts.sha256, { facts, at })
    return facts
  }

  /** The digests of those blobs that the store does not have in their size; each is reported to `onDamaged`. */
  async damaged(blobs: Iterable<BlobFacts>): Promise<readonly string[]> {
    const found: string[] = []
    await forEach(blobs, asksAtOnce, async ({ sha256, size }) => {
      if ((await this.#options.blobs.size(sha256)) === size) return
      found.push(sha256)
      this.#options.onDamaged(sha256)
    })
    return found
  }

  /** Proves what was uploaded, or reports on the proof under way. See `BlobStore.complete` for its refusals. */
  async complete(sha256: string): Promise<"present" | "proving"> {
    let proof = this.#proofs.get(sha256)
    if (!proof) {
      const known = (await this.#options.ledger.blobs([sha256])).get(sha256)
      if (known && (await this.damaged([known])).length === 0) return "present"
      proof = this.#proofs.get(sha256) ?? this.#prove(sha256)
    }
    const answered = new AbortController()
    const proving = setTimeout(this.#options.answerMs, "proving" as const, { signal: answered.signal })
    proving.catch(() => undefined)
    try {
      return await Promise.race([proof.then(() => "present" as const), proving])
    } catch (error) {
      this.#forget(sha256, proof)
      throw error
    } finally {
      answered.abort()
    }
  }

  /** What was proven of a digest. Just after a proof it is not recorded yet, and waited for. */
  async known(sha256: string): Promise<BlobFacts | null> {
    const proof = this.#proofs.get(sha256)?.catch(() => null) ?? null
    const late = new AbortController()
    const tooLate = setTimeout(this.#options.answerMs, null, { signal: late.signal }).catch(() => null)
    const proven = await Promise.race([proof, tooLate])
    late.abort()
    return proven ?? (await this.#options.ledger.blobs([sha256])).get(sha256) ?? null
  }

  #prove(sha256: string): Promise<BlobFacts> {
    if (this.#proofs.size >= maxProofs) throw new RegistryError("UNAVAILABLE", "too many uploads are being proven")
    const removed = this.#removals.get(sha256) ?? Promise.resolve()
    const proof = removed.then(() => this.#place(sha256)).then((facts) => this.#options.records.submit(facts))
    this.#proofs.set(sha256, proof)
    proof.then(
      () => this.#proofs.delete(sha256),
      () => void setTimeout(60_000, null, { ref: false }).then(() => this.#forget(sha256, proof)),
    )
    return proof
  }

  /** Noted before, so that bytes which a kill leaves in their place without a record go some day. */
  async #place(sha256: string): Promise<BlobFacts> {
    await this.#options.notes.submit(sha256)
    try {
      return await this.#complete(sha256)
    } catch (error) {
      const isNowhere = error instanceof RegistryError && error.code === "NOT_FOUND"
      if (isNowhere) await this.#options.ledger.dropNotes([sha256], Number.MAX_SAFE_INTEGER)
      throw error
    }
  }

  /** Who comes just after another's proof ended finds nothing staged, and the blob present. */
  async #complete(sha256: string): Promise<BlobFacts> {
    try {
      return await this.#options.blobs.complete(sha256)
    } catch (error) {
      const known = (await this.#options.ledger.blobs([sha256])).get(sha256)
      if (known && (await this.#options.blobs.size(sha256)) === known.size) return known
      throw error
    }
  }

  #forget(sha256: string, proof: Promise<BlobFacts>): void {
    if (this.#proofs.get(sha256) === proof) this.#proofs.delete(sha256)
  }

  /** Throws away abandoned uploads, and blobs that no manifest came for, older than `before` (ms since epoch). */
  async expire(before: number): Promise<void> {
    await this.#options.blobs.expire(before)
    const unneeded = await this.#options.forgetBlobs(before)
    this.#seen.clear()
    await this.#removeAll(unneeded, before)
  }

  /** Those that can't be removed now are noted still, and tried again next time. */
  async #removeAll(digests: readonly string[], before: number): Promise<void> {
    const removed: string[] = []
    const failures: unknown[] = []
    await forEach(digests, asksAtOnce, async (sha256) => {
      const removal = this.#remove(sha256)
      this.#removals.set(
        sha256,
        removal.catch(() => undefined),
      )
      await removal.then(() => removed.push(sha256)).catch((error: unknown) => failures.push(error))
      this.#removals.delete(sha256)
    })
    await this.#options.ledger.dropNotes(removed, before)
    if (failures.length === 0) return
    const message = `${failures.length} blobs that nobody needs could not be removed: they are tried again in an hour`
    throw new RegistryError("UNAVAILABLE", message, { cause: failures[0] })
  }

  /**
   * What the ledger knows has its bytes: a proof that began before this one ends first, and may have recorded the blob again;
   * one that begins later waits for this, and finds what is left then.
   */
  async #remove(sha256: string): Promise<void> {
    await this.#proofs.get(sha256)?.catch(() => undefined)
    if ((await this.#options.ledger.blobs([sha256])).has(sha256)) return
    await this.#options.blobs.remove(sha256)
  }
}

/** One digest has one size and one list of part digests: a claim of others does not describe the same bytes. */
export function requireSameBytes(claimed: Upload, known: BlobFacts): void {
  const same =
    claimed.size === known.size &&
    claimed.parts?.size === known.parts?.size &&
    claimed.parts?.digests.join() === known.parts?.digests.join()
  if (same) return
  const message = `${claimed.sha256}: the parts and size declared do not describe the bytes of that digest`
  throw new ManifestError("DIGEST_MISMATCH", message)
}
