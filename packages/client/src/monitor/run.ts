/**
 * One reading of what a log has added: is it still the log it was, does every bundle belong to it, and what do the entries
 * mean for the user. Only what was delivered is behind the cursor, which goes by what a quorum of witnesses has confirmed.
 */
import { ManifestError, patternMatches, publicKeys, type TrustChain } from "@weighlock/manifest"
import { hashLeaf, parseEntryBundle, TlogError, tilePath } from "@weighlock/tlog"
import { faultOf } from "../audit/block.ts"
import { requireSignedBundle, TileCache } from "../audit/bundle-proof.ts"
import { requireFreshHead } from "../log.ts"
import type { LogHead } from "../log-head.ts"
import type { LogFiles } from "../log-reader.ts"
import { newestHead } from "../witnessed.ts"
import { judgeHead } from "./continuity.ts"
import { type Cursor, saveCursor } from "./cursor.ts"
import { Delivery, Undelivered } from "./delivery.ts"
import type { MonitorOptions, MonitorReport } from "./options.ts"
import { type Noticed, watchEntry, type Watched } from "./watch.ts"

const width = 256
/** Entries between two savings while nothing happens. */
const savedEvery = 64 * width
/** Seconds without a reading that came to its end, unless the user says what he accepts … */
const mostSilent = 3600
/** … and without a quorum. */
const mostUnwitnessed = 60

export class Run {
  readonly #options: MonitorOptions
  readonly #files: LogFiles
  readonly #trustChain: TrustChain
  readonly #cursor: Cursor
  readonly #watched: Watched
  readonly #delivery: Delivery

  constructor(options: MonitorOptions, files: LogFiles, trustChain: TrustChain, cursor: Cursor) {
    this.#options = options
    this.#files = files
    this.#trustChain = trustChain
    this.#cursor = cursor
    this.#delivery = new Delivery(options.deliver, trustChain.current.log.origin)
    this.#watched = {
      owned: options.owned,
      keys: options.keys === undefined ? null : new Set(options.keys),
      trustChain,
      trusted: publicKeys(trustChain.current),
      files,
    }
  }

  /** Whatever keeps it from reading to the end, the user is told what was found, and of a silence that lasts. */
  async run(): Promise<MonitorReport> {
    const from = this.#cursor.done
    if (this.#cursor.note === null) await this.#save() // silence counts from the first run on
    const standing: Noticed[] = []
    const trouble = await this.#look(standing).then(
      () => null,
      (error: unknown) => ({ error }),
    )
    if (trouble?.error instanceof Undelivered) throw trouble.error.cause
    this.#options.signal?.throwIfAborted()
    if (trouble !== null) this.#judgeSilence(standing)
    await this.#tellStanding(standing, trouble !== null)
    await this.#save()
    if (trouble !== null) throw trouble.error
    return { from, to: this.#cursor.done, alerts: this.#delivery.count }
  }

  async #look(standing: Noticed[]): Promise<void> {
    const head = await this.#head(standing)
    if (head === null) return
    if (head.quorum) this.#judgeAge(head, standing)
    const wrong = await judgeHead(
      { files: this.#files, trustChain: this.#trustChain, evidence: `${this.#options.cursor}.evidence` },
      this.#cursor,
      head,
    )
    if (wrong !== null) return void standing.push(wrong)
    if (!head.quorum) return this.#judgeUnwitnessed(standing)
    this.#cursor.checkpoint = head.checkpoint
    this.#cursor.note = head.note
    if (await this.#read(head, standing)) this.#cursor.checkedAt = Date.now()
  }

  /** `null` for what the log has not signed. */
  async #head(standing: Noticed[]): Promise<LogHead | null> {
    const { source, signal } = this.#options
    try {
      return await newestHead(this.#files, this.#trustChain, { isFolder: source.kind === "folder", signal })
    } catch (error) {
      const { code, message } = error as { code?: unknown; message: string }
      if (!(error instanceof ManifestError) || code !== "LOG_INVALID") throw error
      standing.push({ id: "LOG_INVALID:checkpoint", code: "LOG_INVALID", message })
      return null
    }
  }

  /** Silence for too long is what somebody would make who does not want to be watched. */
  #judgeSilence(standing: Noticed[]): void {
    const since = this.#unread
    if (standing.length > 0 || since <= this.#mostSilent) return
    const message = `the log could not be read to its end for ${Math.floor(since)} s`
    standing.push({ id: "STALE", code: "STALE", message })
  }

  /** Witnesses sign a little later than the log; without end it is a history that is shown to this monitor alone. */
  #judgeUnwitnessed(standing: Noticed[]): void {
    const since = this.#unread
    if (since <= Math.min(mostUnwitnessed, this.#mostSilent)) return
    const message = `for ${Math.floor(since)} s too few witnesses have confirmed what the log shows: nothing of it was taken`
    standing.push({ id: "NOT_YET_WITNESSED", code: "NOT_YET_WITNESSED", message })
  }

  /** Seconds since everything was read last. */
  get #unread(): number {
    return (Date.now() - this.#cursor.checkedAt) / 1000
  }

  get #mostSilent(): number {
    return this.#options.maxStaleness ?? mostSilent
  }

  #judgeAge(head: LogHead, standing: Noticed[]): void {
    try {
      requireFreshHead(head, this.#options.maxStaleness ?? null, new Date())
    } catch (error) {
      const { code, message } = error as { code?: unknown; message: string }
      if (code !== "STALE") throw error
      standing.push({ id: "STALE", code: "STALE", message })
    }
  }

  /** Whether it came to the end. */
  async #read({ checkpoint }: LogHead, standing: Noticed[]): Promise<boolean> {
    const cursor = this.#cursor
    const tiles = new TileCache(this.#files)
    let saved = cursor.done
    while (cursor.done < checkpoint.size) {
      this.#options.signal?.throwIfAborted()
      const index = Math.floor(cursor.done / width)
      const count = Math.min(width, checkpoint.size - index * width)
      const path = tilePath({ level: "entries", index, width: count })
      const entries = await this.#bundle(tiles, checkpoint, index, count).catch((error: unknown) => {
        const message = `${path} cannot be read as the log signed it: ${error instanceof TlogError ? error.message : faultOf(error)}`
        standing.push({ id: `GAP:${path.split(".")[0]}`, code: "GAP", index: cursor.done, message })
        return null
      })
      if (entries === null) return false
      const before = this.#delivery.count
      await this.#watchAll(entries.slice(cursor.done - index * width))
      if (this.#delivery.count > before || cursor.done - saved >= savedEvery) {
        await this.#save()
        saved = cursor.done
      }
      this.#options.onProgress?.({ phase: "monitor", unit: "entries", done: cursor.done, total: checkpoint.size })
    }
    return true
  }

  async #bundle(
    tiles: TileCache,
    checkpoint: LogHead["checkpoint"],
    index: number,
    count: number,
  ): Promise<Uint8Array[]> {
    const entries = parseEntryBundle(await this.#files.read(tilePath({ level: "entries", index, width: count })), count)
    await requireSignedBundle(tiles, checkpoint, index, entries.map(hashLeaf))
    return entries
  }

  /** What was delivered before something could not be is not delivered again. */
  async #watchAll(entries: readonly Uint8Array[]): Promise<void> {
    try {
      for (const entry of entries) await this.#watch(entry)
    } catch (error) {
      await this.#save()
      throw error
    }
  }

  async #watch(entry: Uint8Array): Promise<void> {
    const { models, done } = this.#cursor
    const { noticed, head } = await watchEntry(this.#watched, models, done, entry)
    for (const one of noticed) if (!this.#wasDelivered(done, one)) await this.#delivery.tell(one)
    if (head !== null) models.set(head.model, { seq: head.seq, leaf: head.leaf })
    this.#cursor.done++
  }

  #wasDelivered(index: number, { model }: Noticed): boolean {
    const { before } = this.#cursor
    if (before === null || index >= before.done) return false
    return model === undefined || before.owned.some((pattern) => patternMatches(pattern, model))
  }

  /** Throws what `deliver` throws. */
  async #tellStanding(found: readonly Noticed[], stopped: boolean): Promise<void> {
    await this.#delivery.tellStanding(this.#cursor.standing, found, stopped).catch((error: unknown) => {
      throw error instanceof Undelivered ? error.cause : error
    })
  }

  async #save(): Promise<void> {
    await saveCursor(this.#options.cursor, this.#cursor, this.#trustChain)
  }
}
