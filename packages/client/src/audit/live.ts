/**
 * What the API answers, compared with a replay of the log, both ways: every logged version must be answered as it was
 * logged, and nothing may be listed that was not logged.
 */
import {
  type Bundle,
  checkpointOf,
  isModelName,
  isVersion,
  limits,
  ManifestError,
  parseBundle,
  type ReplayedHistory,
  sha256Hex,
  type TrustChain,
} from "@weighlock/manifest"
import {
  type Checkpoint,
  equalHashes,
  type Hash,
  hashLeaf,
  parseProof,
  TlogError,
  verifyInclusion,
} from "@weighlock/tlog"
import { listPages, type ListedModel, type ListedVersion, readModel, readVersion } from "../catalogue.ts"
import { ClientError } from "../errors.ts"
import { isNoAnswer } from "../log-reader.ts"
import type { Transport } from "../transport.ts"
import type { Findings } from "./finding.ts"

/** Questions under way at once. */
const atOnce = 8

export interface LoggedVersion {
  readonly index: number
  readonly model: string
  readonly version: string
  /** Manifest digest, hex. */
  readonly digest: string
  readonly leaf: Hash
}

export class LiveCheck {
  readonly #transport: Transport
  readonly #trustChain: TrustChain
  readonly #findings: Findings
  readonly #running = new Set<Promise<void>>()
  /** Index from which on an entry may be one that was not audited. */
  #newerFrom = 0
  #failure: { readonly error: unknown } | null = null
  /** Versions compared. */
  versions = 0

  constructor(transport: Transport, trustChain: TrustChain, findings: Findings) {
    this.#transport = transport
    this.#trustChain = trustChain
    this.#findings = findings
  }

  /** Asks for a version that the log holds. Returns when there is room for the next. Throws UNAVAILABLE. */
  async expect(logged: LoggedVersion): Promise<void> {
    await this.#run(async () => {
      const { model, version, digest } = logged
      await this.#compare(`api/v1/models/${model}/versions/${version}`, logged)
      await this.#compare(`api/v1/manifests/sha256/${digest}`, logged)
      this.versions++
    })
  }

  /**
   * Everything that is listed must have been logged, in `history` or after `audited`, which is where that ends; and
   * everything logged must be listed. `count` is how many models `history` knows; it is not `whole` where entries could not be
   * judged, and then what is listed may be one of those.
   */
  async finish(history: ReplayedHistory, audited: Checkpoint, count: number, whole: boolean): Promise<void> {
    this.#newerFrom = whole ? audited.size : 0
    const known = new Set<string>()
    const models = listPages(this.#transport, "the list of models", "api/v1/models", "models", readModel)
    await this.#each("the list of models", models, async ({ model }) => {
      if (!isModelName(model))
        return this.#finding(`${JSON.stringify(model)} is in the list of models, and no model can be called so`)
      if (history.model(model) !== null) known.add(model)
      await this.#compareList(history, model)
    })
    if (known.size < count)
      for (const model of history.models())
        if (!known.has(model)) this.#finding(`${model} was logged, and is not in the list of models`)
    await this.#run(() => this.#compareTrust())
    await this.#drain()
  }

  async #compareList(history: ReplayedHistory, model: ListedModel["model"]): Promise<void> {
    const logged = new Set<string>()
    const versions = listPages(this.#transport, model, `api/v1/models/${model}`, "versions", readVersion)
    await this.#each(`the list of versions of ${model}`, versions, async ({ version, manifest }) => {
      if (!isVersion(version))
        return this.#finding(`${model} lists ${JSON.stringify(version)}, and no version can be called so`)
      const bound = history.bound(model, version)
      if (bound === null) return await this.#run(() => this.#requireNewer(model, { version, manifest }))
      logged.add(version)
      if (bound !== manifest)
        this.#finding(`${model}@${version} is listed as sha256:${manifest}, and was logged as sha256:${bound}`)
    })
    const expected = (history.model(model)?.seq ?? -1) + 1
    if (logged.size < expected)
      this.#finding(`${model} is listed with ${logged.size} of the ${expected} versions that were logged`)
  }

  /** A list that is none, or ends in an error, is a finding; what it named before was compared. */
  async #each<T>(what: string, items: AsyncIterable<T>, task: (item: T) => Promise<void> | void): Promise<void> {
    try {
      for await (const item of items) await task(item)
    } catch (error) {
      if (isNoAnswer(error) || !(error instanceof ClientError)) throw error
      this.#finding(`${what}: ${error.message}`)
    }
  }

  /** A version that the audited part of the log does not hold: published since then, or never logged. */
  async #requireNewer(
    model: string,
    { version, manifest }: Pick<ListedVersion, "version" | "manifest">,
  ): Promise<void> {
    const what = `${model}@${version} is listed`
    const bundle = await this.#bundle(`api/v1/models/${model}/versions/${version}`, what)
    if (bundle === null) return
    const { index, digest } = openLive(bundle, this.#trustChain) ?? { index: -1, digest: "" }
    if (index < this.#newerFrom || digest !== manifest) this.#finding(`${what}, and was never logged`)
  }

  async #compare(path: string, logged: LoggedVersion): Promise<void> {
    const what = `${logged.model}@${logged.version} was logged as entry ${logged.index}`
    const bundle = await this.#bundle(path, what, logged.index)
    if (bundle === null) return
    const found = openLive(bundle, this.#trustChain)
    const same =
      found !== null &&
      found.index === logged.index &&
      found.digest === logged.digest &&
      equalHashes(found.leaf, logged.leaf)
    if (!same) this.#finding(`${what}, and the API answers something else at ${path}`, logged.index)
  }

  async #compareTrust(): Promise<void> {
    const bundle = await this.#bundle("api/v1/trust/1", "trust root 1 was logged as entry 1", 1)
    const [first] = this.#trustChain.roots
    if (bundle !== null && sha256Hex(bundle.envelope.payload) !== first?.digest)
      this.#finding("the API answers another trust root than was logged", 1)
  }

  /** `null` after a finding. */
  async #bundle(path: string, what: string, index?: number): Promise<Bundle | null> {
    try {
      const { body } = await this.#transport.call(path, { what: path, method: "GET", limit: limits.bundle })
      return parseBundle(body)
    } catch (error) {
      const isKnown = error instanceof ClientError || error instanceof ManifestError
      if (isNoAnswer(error) || !isKnown) throw error
      this.#finding(`${what}, and the API answers ${error.message}`, index)
      return null
    }
  }

  #finding(message: string, index?: number): void {
    this.#findings.log("live", message, index === undefined ? {} : { index })
  }

  async #run(task: () => Promise<void>): Promise<void> {
    while (this.#running.size >= atOnce) await Promise.race(this.#running)
    this.#throwFailure()
    const running = task()
      .catch((error: unknown) => void (this.#failure ??= { error }))
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async #drain(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running)
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure.error
  }
}

/** What a live bundle proves; `null` for nothing. */
function openLive(
  bundle: Bundle,
  trustChain: TrustChain,
): { readonly index: number; readonly leaf: Hash; readonly digest: string } | null {
  try {
    const { size, root } = checkpointOf(bundle, trustChain)
    const { index, hashes } = parseProof(bundle.proof ?? "")
    const leaf = hashLeaf(bundle.entry ?? new Uint8Array(0))
    verifyInclusion({ leaf, index, size, root, proof: hashes })
    return { index, leaf, digest: sha256Hex(bundle.envelope.payload) }
  } catch (error) {
    if (error instanceof ManifestError || error instanceof TlogError) return null
    throw error
  }
}
