/**
 * Reads everything that is added to a log and tells its user what concerns the names he owns, or everybody: unknown keys,
 * forks, rollbacks, gaps, silence.
 *
 *     await monitor({ source, trust: "trust.json", cursor: "monitor.json", owned: ["acme/*"], keys: [alice],
 *                     deliver: async (alert) => { … }, interval: 60_000, signal })
 *
 * It starts at entry 0 and misses nothing: an alert that was not delivered is delivered by the next run.
 */
import { createHash } from "node:crypto"
import { setTimeout as pause } from "node:timers/promises"
import { ManifestError, publicKeys, type TrustChain } from "@weighlock/manifest"
import { ForkError, hashLeaf, parseEntryBundle, proveConsistency, TlogError, tilePath } from "@weighlock/tlog"
import { requireSignedBundle, TileCache } from "../audit/bundle-proof.ts"
import { faultOf } from "../audit/block.ts"
import { openSource, type SourceAddress } from "../audit/source.ts"
import { auditTrust } from "../audit/trust.ts"
import { type LogHead, openHead } from "../log-head.ts"
import type { LogFiles } from "../log-reader.ts"
import type { Progress } from "../session.ts"
import type { Alert } from "./alert.ts"
import { type Cursor, readCursor, saveCursor } from "./cursor.ts"
import { type Noticed, watchEntry, type Watched } from "./watch.ts"

const width = 256
/** Entries between two savings while nothing happens. */
const savedEvery = 64 * width

export interface MonitorOptions {
  readonly source: SourceAddress
  /** A trust root file or a pin. */
  readonly trust: string
  /** File of the cursor; made by the first run. */
  readonly cursor: string
  /** Patterns of the names you own: `acme/*`. */
  readonly owned: readonly string[]
  /** Keyids that you expect to publish them. */
  readonly keys: readonly string[]
  /** Seconds. */
  readonly maxStaleness?: number
  /** Resolves when the alert is where it belongs; if it rejects, the next run tries again. */
  readonly deliver: (alert: Alert) => Promise<void>
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface MonitorReport {
  /** Entries read before, and now. */
  readonly from: number
  readonly to: number
  /** Delivered. */
  readonly alerts: number
}

/** Once. Throws what `deliver` throws; UNAVAILABLE where the log cannot be read (after a STALE alert, when it is due). */
export async function monitorOnce(options: MonitorOptions): Promise<MonitorReport> {
  const source = openSource(options.source, options.signal)
  try {
    const trustChain = await auditTrust(options.trust, source.files)
    const cursor = await readCursor(options.cursor, trustChain, Date.now())
    return await new Run(options, source.files, trustChain, cursor).run()
  } finally {
    await source.close()
  }
}

/** Until the signal says so. What does not work now is tried again after the interval; `onTrouble` is told of it. */
export async function monitor(
  options: MonitorOptions & {
    /** ms. */
    readonly interval: number
    readonly onRun?: (report: MonitorReport) => void
    readonly onTrouble?: (error: unknown) => void
  },
): Promise<void> {
  for (;;) {
    try {
      options.onRun?.(await monitorOnce(options))
    } catch (error) {
      if (options.signal?.aborted === true) return
      if (isLasting(error)) throw error
      options.onTrouble?.(error)
    }
    try {
      await pause(options.interval, undefined, options.signal === undefined ? {} : { signal: options.signal })
    } catch {
      return
    }
  }
}

/** What waiting does not mend. */
function isLasting(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return ["USAGE", "STATE_DAMAGED", "STATE_UNUSABLE", "TRUST_UNREADABLE", "TRUST_PIN_MISMATCH"].includes(String(code))
}

class Run {
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

  #judgeAge({ freshness, checkpoint }: LogHead, standing: Noticed[]): void {
    const { maxStaleness } = this.#options
    if (maxStaleness === undefined) return
    const age = freshness === null ? Number.POSITIVE_INFINITY : (Date.now() - freshness.getTime()) / 1000
    if (age <= maxStaleness) return
    const message =
      freshness === null
        ? `no quorum of witnesses has confirmed the log at ${checkpoint.size} entries`
        : `witnesses last confirmed the log at ${checkpoint.size} entries ${Math.floor(age)} s ago`
    standing.push({ id: "STALE", code: "STALE", message })
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
      for (const entry of entries.slice(cursor.done - index * width)) await this.#watch(entry)
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

  async #watch(entry: Uint8Array): Promise<void> {
    const { models, done } = this.#cursor
    for (const noticed of await watchEntry(this.#watched, models, done, entry)) await this.#deliver(noticed)
    this.#cursor.done++
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
