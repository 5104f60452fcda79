/**
 * One reading of what a log has added: is it still the log it was, does every bundle belong to it, and what do the entries
 * mean for the user. Only what was delivered is behind the cursor.
 */
import { createHash } from "node:crypto"
import { ManifestError, patternMatches, publicKeys, type TrustChain } from "@weighlock/manifest"
import { ForkError, hashLeaf, parseEntryBundle, proveConsistency, TlogError, tilePath } from "@weighlock/tlog"
import { faultOf } from "../audit/block.ts"
import { requireSignedBundle, TileCache } from "../audit/bundle-proof.ts"
import { requireFreshHead } from "../log.ts"
import { type LogHead, openHead } from "../log-head.ts"
import type { LogFiles } from "../log-reader.ts"
import { type Cursor, saveCursor } from "./cursor.ts"
import type { MonitorOptions, MonitorReport } from "./options.ts"
import { type Noticed, watchEntry, type Watched } from "./watch.ts"

const width = 256
/** Entries between two savings while nothing happens. */
const savedEvery = 64 * width

export class Run {
  readonly #options: MonitorOptions
  readonly #files: LogFiles
  readonly #trustChain: TrustChain
  readonly #cursor: Cursor
  readonly #watched: Watched
  #delivered = 0

  constructor(options: MonitorOptions, files: LogFiles, trustChain: TrustChain, cursor: Cursor) {
    this.#options = options
    this.#files = files
    this.#trustChain = trustChain
    this.#cursor = cursor
    this.#watched = {
      owned: options.owned,
      keys: new Set(options.keys),
      trusted: publicKeys(trustChain.current),
      files,
    }
  }

  async run(): Promise<MonitorReport> {
    const from = this.#cursor.done
    const standing: Noticed[] = []
    const head = await this.#head(standing)
    if (head !== null) {
      this.#judgeAge(head, standing)
      if (await this.#accept(head, standing)) await this.#read(head, standing)
    }
    await this.#deliverStanding(standing)
    await this.#save()
    return { from, to: this.#cursor.done, alerts: this.#delivered }
  }

  async #head(standing: Noticed[]): Promise<LogHead | null> {
    try {
      return openHead(await this.#files.checkpoint(), this.#trustChain)
    } catch (error) {
      const { code, message } = error as { code?: unknown; message: string }
      if (error instanceof ManifestError && code === "LOG_INVALID") {
        standing.push({ id: `LOG_INVALID:checkpoint`, code: "LOG_INVALID", message })
        return null
      }
      await this.#unreachable()
      throw error
    }
  }

  /** Silence for too long is what somebody would make who does not want to be watched. */
  async #unreachable(): Promise<void> {
    const { maxStaleness } = this.#options
    const since = (Date.now() - this.#cursor.checkedAt) / 1000
    if (maxStaleness === undefined || since <= maxStaleness) return
    const message = `the log could not be read for ${Math.floor(since)} s`
    await this.#deliverStanding([{ id: "STALE", code: "STALE", message }])
    await this.#save()
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

  /** Whether the head goes on from what was verified before; then the cursor stands on it. */
  async #accept(head: LogHead, standing: Noticed[]): Promise<boolean> {
    const { checkpoint: before } = this.#cursor
    const { checkpoint: after } = head
    const id = createHash("sha256")
      .update(head.note.split("\n\n")[0] ?? "")
      .digest("hex")
      .slice(0, 16)
    if (after.size < before.size) {
      const message = `the log had ${before.size} entries and now shows ${after.size} as its newest state`
      standing.push({ id: `ROLLBACK:${id}`, code: "ROLLBACK", message })
      return false
    }
    try {
      await proveConsistency(this.#files, before, after)
    } catch (error) {
      if (!(error instanceof TlogError)) faultOf(error)
      const proven = error instanceof ForkError || before.size === after.size
      const code = proven ? "FORK" : "LOG_INVALID"
      const message = `the log at ${after.size} entries does not go on from the ${before.size} seen before: ${(error as Error).message}`
      standing.push({ id: `${code}:${id}`, code, message })
      return false
    }
    this.#cursor.checkpoint = after
    this.#cursor.note = head.note
    this.#cursor.checkedAt = Date.now()
    return true
  }

  async #read({ checkpoint }: LogHead, standing: Noticed[]): Promise<void> {
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
      if (entries === null) return
      const before = this.#delivered
      await this.#watchAll(entries.slice(cursor.done - index * width))
      if (this.#delivered > before || cursor.done - saved >= savedEvery) {
        await this.#save()
        saved = cursor.done
      }
      this.#options.onProgress?.({ phase: "monitor", unit: "entries", done: cursor.done, total: checkpoint.size })
    }
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
    for (const one of noticed) if (!this.#wasDelivered(done, one)) await this.#deliver(one)
    if (head !== null) models.set(head.model, { seq: head.seq, leaf: head.leaf })
    this.#cursor.done++
  }

  #wasDelivered(index: number, { model }: Noticed): boolean {
    const { before } = this.#cursor
    if (before === null || index >= before.done) return false
    return model === undefined || before.owned.some((pattern) => patternMatches(pattern, model))
  }

  /** Each once while it lasts. */
  async #deliverStanding(standing: readonly Noticed[]): Promise<void> {
    for (const noticed of standing) if (!this.#cursor.standing.has(noticed.id)) await this.#deliver(noticed)
    this.#cursor.standing.clear()
    for (const { id } of standing) this.#cursor.standing.add(id)
  }

  async #deliver(noticed: Noticed): Promise<void> {
    const { origin } = this.#trustChain.current.log
    await this.#options.deliver({ ...noticed, origin, at: new Date().toISOString() })
    this.#delivered++
  }

  async #save(): Promise<void> {
    await saveCursor(this.#options.cursor, this.#cursor, this.#trustChain)
  }
}
