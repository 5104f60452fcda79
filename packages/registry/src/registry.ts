/**
 * Decides what is published. No HTTP and no SQL here: rules from `@weighlock/manifest`, facts from the ledger.
 *
 *     envelope bytes -> admission (keys, signatures, names) -> every blob proven, with the declared size and parts
 *                    -> its place in the log, in one commit -> bundle with entry and proof
 */
import { judgePublish } from "@weighlock/manifest"

import type { Admission, Admitted } from "./admission.ts"
import { RegistryError } from "./errors.ts"
import type { Bundles } from "./log/bundles.ts"
import type { Outcome } from "./log/plan.ts"
import type { RecentBundles } from "./log/recent-bundles.ts"
import type { Sequencer } from "./sequencer.ts"
import type { Ledger, ModelSummary, Page, Publication, VersionSummary } from "./store/ledger.ts"
import { type Uploads, requireSameBytes } from "./uploads.ts"

export interface Published {
  /** False when this very manifest was published before: the entry is then the first one. */
  readonly created: boolean
  readonly version: string
  readonly bundle: Uint8Array
}

export interface RegistryOptions {
  readonly ledger: Ledger
  readonly uploads: Uploads
  readonly admission: Admission
  readonly sequencer: Sequencer<Admitted, Outcome>
  readonly bundles: Bundles
  readonly recent: RecentBundles
  readonly now: () => Date
}

export class Registry {
  readonly #options: RegistryOptions

  constructor(options: RegistryOptions) {
    this.#options = options
  }

  /**
   * Publishes a signed manifest under a model. Safe to repeat: the same manifest again answers the first entry.
   * Throws what `admitPublish` throws, BLOBS_MISSING, DIGEST_MISMATCH, VERSION_EXISTS, UNAVAILABLE.
   */
  async publish(bytes: Uint8Array, model: string): Promise<Published> {
    const { ledger, admission, sequencer, bundles, now } = this.#options
    const admitted = await admission.admit(bytes, model, now())
    const { version, envelope } = admitted
    const missing = await this.#missingBlobs(admitted)
    if (missing.length > 0) {
      const first = await ledger.byVersion(model, version) // which stays what it is, whatever became of its blobs
      if (judgePublish(first, admitted) === "same" && first) return await this.#again(first)
      throw blobsMissing(missing, `${model}@${version}`)
    }
    const outcome = await sequencer.submit(admitted)
    switch (outcome.kind) {
      case "appended":
        return { created: true, version, bundle: await bundles.fresh(outcome.index, outcome.entry.entry, envelope) }
      case "held":
        return await this.#again(await this.#publication(model, version))
      case "missing":
        throw blobsMissing(outcome.blobs, `${model}@${version}`)
      case "refused":
        throw outcome.error
    }
  }

  async #again(first: Publication): Promise<Published> {
    return { created: false, version: first.version, bundle: await this.#bundle(first) }
  }

  /** The bundle a version is bound to. NOT_FOUND. */
  async version(model: string, version: string): Promise<Uint8Array> {
    return await this.#recent(`${model}@${version}`, () => this.#publication(model, version))
  }

  async #publication(model: string, version: string): Promise<Publication> {
    const found = await this.#options.ledger.byVersion(model, version)
    if (!found) throw new RegistryError("NOT_FOUND", `${model}@${version} was never published`)
    return found
  }

  /** The bundle of the manifest with this digest. NOT_FOUND. */
  async manifest(digest: string): Promise<Uint8Array> {
    return await this.#recent(digest, async () => {
      const found = await this.#options.ledger.byDigest(digest)
      if (!found) throw new RegistryError("NOT_FOUND", `no manifest sha256:${digest} was published`)
      return found
    })
  }

  #recent(name: string, find: () => Promise<Publication>): Promise<Uint8Array> {
    return this.#options.recent.get(name, async () => {
      const found = await find()
      return { index: found.entry.index, bundle: () => this.#bundle(found) }
    })
  }

  #bundle({ entry, digest, model, version }: Publication): Promise<Uint8Array> {
    return this.#options.bundles.stored(entry, { digest, model, subject: version })
  }

  models(query: string, page: Page): Promise<readonly ModelSummary[]> {
    return this.#options.ledger.models(query, page)
  }

  /** A model's versions in order of publication. NOT_FOUND when it has none. */
  async versions(model: string, page: Page): Promise<readonly VersionSummary[]> {
    const versions = await this.#options.ledger.versions(model, page)
    const exists = versions.length > 0 || (await this.#options.ledger.versions(model, { limit: 1 })).length > 0
    if (!exists) throw new RegistryError("NOT_FOUND", `nothing was published as ${model}`)
    return versions
  }

  /**
   * Every resource must be a blob the registry has hashed itself, of the signed size and parts (DIGEST_MISMATCH), and still
   * has: the digests of the others.
   */
  async #missingBlobs({ resources }: Admitted): Promise<readonly string[]> {
    const { present, missing } = await this.#options.uploads.present(resources.map(({ digest }) => digest))
    for (const { digest, size, parts } of resources) {
      const facts = present.get(digest)
      if (facts) requireSameBytes({ sha256: digest, size, ...(parts && { parts }) }, facts)
    }
    return missing
  }
}

function blobsMissing(missing: readonly string[], reference: string): RegistryError {
  const message = `${reference}: ${missing.length} blobs were not uploaded or not completed`
  const hint = "POST /api/v1/uploads, send the parts, complete, then publish again"
  return new RegistryError("BLOBS_MISSING", message, { hint, details: { missing } })
}
