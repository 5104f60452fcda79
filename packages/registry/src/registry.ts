/**
 * Decides what is published. No HTTP and no SQL here: rules from `@weighlock/manifest`, facts from the ledger.
 *
 *     envelope bytes -> admitPublish (keys, signatures, names) -> every blob proven, with the declared size and parts
 *                    -> judgePublish against what is bound -> one commit -> bundle
 */
import { type Envelope, formatBundle, judgePublish, parseEnvelope, sha256Hex } from "@weighlock/manifest"

import type { Admission, Admitted } from "./admission.ts"
import { RegistryError } from "./errors.ts"
import type { Sequencer } from "./sequencer.ts"
import type { Binding, Candidate, Ledger, ModelSummary, Page, Publication } from "./store/ledger.ts"
import { type Uploads, requireSameBytes } from "./uploads.ts"

export interface Published {
  /** False when this very manifest was published before: `bundle` is then the first one. */
  readonly created: boolean
  readonly digest: string
  readonly version: string
  readonly bundle: Uint8Array
}

export interface RegistryOptions {
  readonly ledger: Ledger
  readonly uploads: Uploads
  readonly admission: Admission
  readonly sequencer: Sequencer<Candidate, Binding>
  readonly now: () => Date
}

export class Registry {
  readonly #options: RegistryOptions

  constructor(options: RegistryOptions) {
    this.#options = options
  }

  /**
   * Publishes a signed manifest under a model. Safe to repeat: the same manifest again answers the first bundle.
   * Throws what `admitPublish` throws, BLOBS_MISSING, DIGEST_MISMATCH, VERSION_EXISTS, UNAVAILABLE.
   */
  async publish(bytes: Uint8Array, model: string): Promise<Published> {
    const { ledger, admission, sequencer, now } = this.#options
    const manifest = await admission.admit(bytes, model, now())
    const { version } = manifest
    const first = await ledger.byVersion(model, version)
    if (judgePublish(first, manifest) === "same" && first) return published(first, false)
    await this.#requireBlobs(manifest)
    const binding = await sequencer.submit(candidateOf(manifest))
    if ("missing" in binding) throw blobsMissing(binding.missing, `${model}@${version}`)
    judgePublish(binding.holder, manifest) // another writer may have come first
    return published(binding.holder, binding.created)
  }

  /** The bundle a version is bound to. NOT_FOUND. */
  async version(model: string, version: string): Promise<Uint8Array> {
    const found = await this.#options.ledger.byVersion(model, version)
    if (!found) throw new RegistryError("NOT_FOUND", `${model}@${version} was never published`)
    return bundleOf(found)
  }

  /** The bundle of the manifest with this digest. NOT_FOUND. */
  async manifest(digest: string): Promise<Uint8Array> {
    const found = await this.#options.ledger.byDigest(digest)
    if (!found) throw new RegistryError("NOT_FOUND", `no manifest sha256:${digest} was published`)
    return bundleOf(found)
  }

  models(query: string, page: Page): Promise<readonly ModelSummary[]> {
    return this.#options.ledger.models(query, page)
  }

  /** A model's versions in order of publication. NOT_FOUND when it has none. */
  async versions(model: string, page: Page): Promise<readonly Omit<Publication, "envelope">[]> {
    const versions = await this.#options.ledger.versions(model, page)
    const exists = versions.length > 0 || (await this.#options.ledger.versions(model, { limit: 1 })).length > 0
    if (!exists) throw new RegistryError("NOT_FOUND", `nothing was published as ${model}`)
    return versions
  }

  /** Every resource must be a blob the registry has hashed itself, of the signed size and parts, and still has. */
  async #requireBlobs({ resources, model, version }: Admitted): Promise<void> {
    const known = await this.#options.ledger.blobs(resources.map(({ digest }) => digest))
    const missing = new Set(resources.map(({ digest }) => digest).filter((digest) => !known.has(digest)))
    if (missing.size > 0) throw blobsMissing([...missing], `${model}@${version}`)
    for (const { digest, size, parts } of resources) {
      const facts = known.get(digest)
      if (facts) requireSameBytes({ sha256: digest, size, ...(parts && { parts }) }, facts)
    }
    const damaged = await this.#options.uploads.damaged(known.values())
    if (damaged.length > 0) throw blobsMissing(damaged, `${model}@${version}`)
  }
}

function candidateOf({ digest, model, version, createdAt, envelope, resources }: Admitted): Candidate {
  return { digest, model, version, createdAt, envelope, blobs: resources.map((resource) => resource.digest) }
}

function published(holder: Publication, created: boolean): Published {
  return { created, digest: holder.digest, version: holder.version, bundle: bundleOf(holder) }
}

/** SQLite does not notice flipped bits: what is served is first shown to be what was stored. */
function bundleOf({ digest, envelope }: Publication): Uint8Array {
  return formatBundle({ envelope: openStored(envelope, digest, `manifest ${digest}`) })
}

/** An envelope of the ledger. STORE_FAILED, and never a code that blames the client, when it is not what was stored. */
export function openStored(bytes: Uint8Array, digest: string, what: string): Envelope {
  try {
    const envelope = parseEnvelope(bytes)
    if (sha256Hex(envelope.payload) === digest) return envelope
  } catch (cause) {
    throw damagedRow(what, cause)
  }
  throw damagedRow(what)
}

function damagedRow(what: string, cause?: unknown): RegistryError {
  return new RegistryError("STORE_FAILED", `the ledger's row of ${what} is damaged: restore it from a backup`, {
    cause,
  })
}

function blobsMissing(missing: readonly string[], reference: string): RegistryError {
  const message = `${reference}: ${missing.length} blobs were not uploaded or not completed`
  const hint = "POST /api/v1/uploads, send the parts, complete, then publish again"
  return new RegistryError("BLOBS_MISSING", message, { hint, details: { missing } })
}
