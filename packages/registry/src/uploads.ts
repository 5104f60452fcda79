/**
 * Decides about uploads: what is present, what is needed, who may send it, and when the registry has proven it.
 *
 *     { "files": [{ "sha256": "9f86d081…", "size": 4 }] }   ->   present | proving | needed + grants for missing parts
 *
 * "present" means that the registry itself computed the digest of the whole file and recorded it in the ledger.
 */
import type { Readable } from "node:stream"
import { setTimeout } from "node:timers/promises"

import { ManifestError } from "@weighlock/manifest"

import { RegistryError } from "./errors.ts"
import type { Grant, GrantMaker } from "./grants.ts"
import type { Sequencer } from "./sequencer.ts"
import { type BlobStore, type Upload, uploadId } from "./store/blobs.ts"
import type { BlobFacts, Ledger } from "./store/ledger.ts"

export const maxGrantsPerCall = 256
const maxProofs = 1024

export interface UploadState {
  readonly sha256: string
  readonly state: "present" | "proving" | "needed"
  readonly grants: readonly Grant[]
}

export interface UploadsOptions {
  readonly ledger: Ledger
  readonly blobs: BlobStore
  readonly grants: GrantMaker
  readonly records: Sequencer<BlobFacts, BlobFacts>
  /** How long `complete` waits for the proof before it answers "proving", in ms. */
  readonly patience: number
}

export class Uploads {
  readonly #options: UploadsOptions
  /** Proofs under way, and failed ones until somebody asks. */
  readonly #proofs = new Map<string, Promise<BlobFacts>>()
  /** No proof may put a blob in place while forgotten ones are removed: it could be the same. */
  #expiring: Promise<void> = Promise.resolve()

  constructor(options: UploadsOptions) {
    this.#options = options
  }

  /** DIGEST_MISMATCH: a digest is known with another size or other parts. */
  async ask(files: readonly Upload[]): Promise<readonly UploadState[]> {
    const known = await this.#options.ledger.blobs(files.map(({ sha256 }) => sha256))
    const states: UploadState[] = []
    let left = maxGrantsPerCall
    for (const file of files) {
      const state = await this.#ask(file, known.get(file.sha256), left)
      left -= state.grants.length
      states.push(state)
    }
    return states
  }

  async #ask(file: Upload, known: BlobFacts | undefined, left: number): Promise<UploadState> {
    const { sha256 } = file
    if (known) {
      requireSameBytes(file, known)
      return { sha256, state: "present", grants: [] }
    }
    if (this.#proofs.has(sha256)) return { sha256, state: "proving", grants: [] }
    const missing = left > 0 ? await this.#options.blobs.declare(file) : []
    const grants = missing.slice(0, left).map((part) => this.#options.grants.grant(file, part))
    return { sha256, state: "needed", grants }
  }

  /** See `BlobStore.writePart`. */
  async writePart(sha256: string, id: string, part: number, body: Readable): Promise<void> {
    if (this.#proofs.has(sha256)) throw new RegistryError("CONFLICT", `${sha256} is being proven`)
    await this.#options.blobs.writePart(sha256, id, part, body)
  }

  /** Proves what was uploaded, or reports on the proof under way. See `BlobStore.complete` for its refusals. */
  async complete(sha256: string): Promise<"present" | "proving"> {
    const known = await this.#options.ledger.blobs([sha256])
    if (known.has(sha256)) return "present"
    const proof = this.#proofs.get(sha256) ?? this.#prove(sha256)
    const patience = new AbortController()
    const proving = setTimeout(this.#options.patience, "proving" as const, { signal: patience.signal })
    proving.catch(() => undefined)
    try {
      return await Promise.race([proof.then(() => "present" as const), proving])
    } catch (error) {
      this.#proofs.delete(sha256)
      throw error
    } finally {
      patience.abort()
    }
  }

  #prove(sha256: string): Promise<BlobFacts> {
    if (this.#proofs.size >= maxProofs) throw new RegistryError("UNAVAILABLE", "too many uploads are being proven")
    const proof = this.#expiring
      .then(() => this.#options.blobs.complete(sha256))
      .then((facts) => this.#options.records.submit(facts))
    this.#proofs.set(sha256, proof)
    proof.then(
      () => this.#proofs.delete(sha256),
      () => void setTimeout(60_000, null, { ref: false }).then(() => this.#forget(sha256, proof)),
    )
    return proof
  }

  #forget(sha256: string, proof: Promise<BlobFacts>): void {
    if (this.#proofs.get(sha256) === proof) this.#proofs.delete(sha256)
  }

  /** Throws away abandoned uploads, and blobs that no manifest came for, older than `before` (ms since epoch). */
  async expire(before: number): Promise<void> {
    await this.#options.blobs.expire(before)
    const removed = this.#removeForgotten(before)
    this.#expiring = removed.catch(() => undefined)
    await removed
  }

  async #removeForgotten(before: number): Promise<void> {
    for (const sha256 of await this.#options.ledger.forgetBlobs(before)) await this.#options.blobs.remove(sha256)
  }
}

/** One digest has one size and one list of part digests: a claim of others does not describe the same bytes. */
export function requireSameBytes(claimed: Upload, known: BlobFacts): void {
  if (uploadId(claimed) === uploadId(known)) return
  const message = `${claimed.sha256}: the parts and size declared do not describe the bytes of that digest`
  throw new ManifestError("DIGEST_MISMATCH", message)
}
