/**
 * What the API answers, compared with a replay of the log, both ways: every logged version must be answered as it was
 * logged, and nothing may be listed that was not logged. What it answers must be proven by states of the log that are one
 * history with the audited one.
 */
import {
  isModelName,
  isVersion,
  limits,
  ManifestError,
  parseBundle,
  type ReplayedHistory,
  type TrustChain,
} from "@weighlock/manifest"
import { equalHashes, type Hash } from "@weighlock/tlog"
import { type ListedModel, type ListedVersion, modelListing, versionListing } from "../catalogue.ts"
import { ClientError } from "../errors.ts"
import { isNoAnswer } from "../log-reader.ts"
import { type Listing, readPages } from "../pages.ts"
import type { Transport } from "../transport.ts"
import { isNotYetWitnessed, untilWitnessed } from "../witnessed.ts"
import type { Findings } from "./finding.ts"
import { type LiveBundle, type OneHistory, openLive } from "./live-bundle.ts"
import { defaultCaps, type SurplusCaps, SurplusCount } from "./surplus-count.ts"

/** Questions under way at once. */
const atOnce = 8
/** Questions without an answer that are asked once more: of more, the registry as a whole does not answer. */
const mostUnanswered = 64

export interface LoggedVersion {
  readonly index: number
  readonly model: string
  readonly version: string
  /** Manifest digest, hex. */
  readonly digest: string
  readonly leaf: Hash
}

/** A bundle to be asked for, and what it must be. */
interface Question {
  readonly path: string
  readonly index?: number
  /** In a sentence that goes on with "and the API answers". */
  readonly what: string
  /** What is wrong with the answer, or `null`. */
  readonly judge: (found: LiveBundle | null) => string | null
}

export class LiveCheck {
  readonly #transport: Transport
  readonly #trustChain: TrustChain
  readonly #findings: Findings
  readonly #history: OneHistory
  readonly #running = new Set<Promise<void>>()
  /** That nobody answered, or not enough witnesses yet. */
  readonly #unanswered: { readonly question: Question; readonly error: ClientError }[] = []
  #unwitnessed = false
  readonly #surpluses: SurplusCount
  /** Index from which on an entry may be one that was not audited. */
  #newerFrom = 0
  #failure: { readonly error: unknown } | null = null
  /** Versions compared. */
  versions = 0

  constructor(
    transport: Transport,
    trustChain: TrustChain,
    findings: Findings,
    history: OneHistory,
    caps: SurplusCaps = defaultCaps,
  ) {
    this.#transport = transport
    this.#trustChain = trustChain
    this.#findings = findings
    this.#history = history
    this.#surpluses = new SurplusCount(caps)
  }

  /**
   * Asks for a version that the log holds. Returns when there is room for the next. What goes wrong is thrown by `finish`: an API that
   * is away keeps nobody from judging the log.
   */
  async expect(logged: LoggedVersion): Promise<void> {
    if (this.#failure === null)
      await this.#run(async () => {
        const { model, version, digest } = logged
        await this.#ask(questionOf(`api/v1/models/${model}/versions/${version}`, logged))
        await this.#ask(questionOf(`api/v1/manifests/sha256/${digest}`, logged))
        this.versions++
      })
  }

  /**
   * Everything that is listed must have been logged, in `history` or after `audited`, the size at which that ends; and
   * everything logged must be listed. `count` is how many models `history` knows; it is not `whole` where entries could not be
   * judged, and then what is listed may be one of those. Throws UNAVAILABLE, also for lists that go beyond the caps: what was
   * found until then stands, and nothing is said about what was not looked at.
   */
  async finish(history: ReplayedHistory, audited: number, count: number, whole: boolean): Promise<void> {
    await this.#drain()
    this.#newerFrom = whole ? audited : 0
    const known = new Set<string>()
    await this.#each(modelListing, async ({ model }) => {
      if (!isModelName(model))
        return this.#surplus(`${JSON.stringify(model)} is in the list of models, and no model can be called so`)
      if (known.has(model)) return this.#surplus(`${model} is in the list of models twice`)
      if (history.model(model) === null) return await this.#requireNewModel(history, model)
      known.add(model)
      await this.#compareList(history, model)
    })
    if (known.size < count)
      for (const model of history.models())
        if (!known.has(model)) this.#finding(`${model} was logged, and is not in the list of models`)
    await this.#run(() => this.#ask(trustQuestion(this.#trustChain)))
    await this.#drain()
    await this.#askAgain()
  }

  /** A model that the audited part of the log does not hold has at least one version that was published since. */
  async #requireNewModel(history: ReplayedHistory, model: ListedModel["model"]): Promise<void> {
    this.#surpluses.addNewer()
    const { isRead, items } = await this.#compareList(history, model)
    if (!isRead) this.#surpluses.addSurplus()
    else if (items === 0) this.#surplus(`${model} is in the list of models, and has no version`)
  }

  /** Whether the list could be read to its end, and how many items it had. */
  async #compareList(
    history: ReplayedHistory,
    model: ListedModel["model"],
  ): Promise<{ readonly isRead: boolean; readonly items: number }> {
    const logged = new Set<string>()
    let items = 0
    const isRead = await this.#each(versionListing(model), async ({ version, manifest }) => {
      items++
      if (!isVersion(version))
        return this.#surplus(`${model} lists ${JSON.stringify(version)}, and no version can be called so`)
      if (logged.has(version)) return this.#surplus(`${model} lists ${version} twice`)
      const bound = history.bound(model, version)
      if (bound === null) {
        this.#surpluses.addNewer()
        return await this.#run(() => this.#requireNewer(model, { version, manifest }))
      }
      logged.add(version)
      if (bound !== manifest)
        this.#finding(`${model}@${version} is listed as sha256:${manifest}, and was logged as sha256:${bound}`)
    })
    const expected = (history.model(model)?.seq ?? -1) + 1
    if (logged.size < expected)
      this.#finding(`${model} is listed with ${logged.size} of the ${expected} versions that were logged`)
    return { isRead, items }
  }

  /** A list that is none, or ends in an error, is a finding (`false`); what it named before was compared. */
  async #each<T>(listing: Listing<T>, task: (item: T) => Promise<void> | void): Promise<boolean> {
    try {
      for await (const item of readPages(this.#transport, listing)) {
        this.#throwFailure()
        await task(item)
      }
      return true
    } catch (error) {
      if (isNoAnswer(error) || !(error instanceof ClientError)) throw error
      this.#finding(`${listing.what}: ${error.message}`)
      return false
    }
  }

  #surplus(message: string): void {
    this.#finding(message)
    this.#surpluses.addSurplus()
  }

  /** A version that the audited part of the log does not hold: published since then, or never logged. */
  async #requireNewer(
    model: string,
    { version, manifest }: Pick<ListedVersion, "version" | "manifest">,
  ): Promise<void> {
    const what = `${model}@${version} is listed`
    const judge = (found: LiveBundle | null): string | null =>
      found?.published === `${model}@${version}` && found.index >= this.#newerFrom && found.digest === manifest
        ? null
        : `${what}, and was never logged`
    if (!(await this.#ask({ path: `api/v1/models/${model}/versions/${version}`, what, judge })))
      this.#surpluses.addSurplus()
  }

  /** `false` for a wrong answer. Throws UNAVAILABLE where too many questions have found no answer. */
  async #ask(question: Question): Promise<boolean> {
    try {
      return await this.#compare(question)
    } catch (error) {
      this.#putOff(question, error)
      return true
    }
  }

  /** `false` for a wrong answer, which is a finding. */
  async #compare({ path, index, what, judge }: Question): Promise<boolean> {
    try {
      const { body } = await this.#transport.call(path, { what: path, method: "GET", limit: limits.bundle })
      const found = openLive(parseBundle(body), this.#history)
      const wrong = judge(found)
      if (found !== null && wrong === null) await this.#history.require(found.head)
      if (wrong !== null) this.#finding(wrong, index)
      return wrong === null
    } catch (error) {
      const isKnown = error instanceof ClientError || error instanceof ManifestError
      if (isNoAnswer(error) || isNotYetWitnessed(error) || !isKnown) throw error
      this.#finding(`${what}, and the API answers ${explained(error)}`, index)
      return false
    }
  }

  #putOff(question: Question, error: unknown): void {
    if (!isNoAnswer(error) && !isNotYetWitnessed(error)) throw error
    if (this.#unanswered.length < mostUnanswered) this.#unanswered.push({ question, error: error as ClientError })
    else if (isNoAnswer(error)) throw error
    else this.#refuse(question, error as ClientError)
  }

  /** A registry that answers everything else withholds what it does not answer; one that answers nothing is away. */
  async #askAgain(): Promise<void> {
    const asked = this.#unanswered.splice(0)
    for (const { question } of asked) {
      const task = (): Promise<boolean> => untilWitnessed(() => this.#compare(question))
      await this.#run(() => task().catch((error: unknown) => this.#putOff(question, error)))
    }
    await this.#drain()
    if (this.#unanswered.length > 0)
      await this.#transport.call("api/v1/models", { what: "the list of models", method: "GET", limit: 2 ** 24 })
    for (const { question, error } of this.#unanswered.splice(0)) this.#refuse(question, error)
  }

  #refuse({ what, index }: Question, error: ClientError): void {
    if (isNoAnswer(error)) return this.#finding(`${what}, and the API does not answer it: ${error.message}`, index)
    if (this.#unwitnessed) return
    this.#unwitnessed = true // once: all bundles of a moment lead to one checkpoint
    const message = `${what}, and too few witnesses have cosigned the proof that the API answers`
    const where = index === undefined ? {} : { index }
    this.#findings.add({ kind: "log", code: "NOT_YET_WITNESSED", check: "live", ...where, message })
  }

  #finding(message: string, index?: number): void {
    this.#findings.log("live", message, index === undefined ? {} : { index })
  }

  async #run(task: () => Promise<unknown>): Promise<void> {
    while (this.#running.size >= atOnce) await Promise.race(this.#running)
    const running: Promise<void> = task()
      .then(() => undefined)
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

function questionOf(path: string, logged: LoggedVersion): Question {
  const { model, version, index, digest, leaf } = logged
  const what = `${model}@${version} was logged as entry ${index}`
  const judge = (found: LiveBundle | null): string | null => {
    const same = found?.index === index && found.digest === digest && equalHashes(found.leaf, leaf)
    return same ? null : `${what}, and the API answers something else at ${path}`
  }
  return { path, index, what, judge }
}

function trustQuestion({ roots: [first] }: TrustChain): Question {
  const judge = (found: LiveBundle | null): string | null =>
    found?.index === 1 && found.digest === first?.digest ? null : "the API answers another trust root than was logged"
  return { path: "api/v1/trust/1", index: 1, what: "trust root 1 was logged as entry 1", judge }
}

/** With where the evidence is. */
function explained({ message, hint }: ClientError | ManifestError): string {
  return hint === undefined ? message : `${message}; ${hint}`
}
