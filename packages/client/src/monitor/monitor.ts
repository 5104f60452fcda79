/**
 * Reads everything that is added to a log and tells its user what concerns the names he owns, or everybody: unknown keys,
 * forks, rollbacks, gaps, silence.
 *
 *     await monitor({ source, trust: "trust.json", cursor: "monitor.json", owned: ["acme/*"], keys: [alice],
 *                     deliver: async (alert) => { … }, interval: 60_000, signal })
 *
 * It starts at entry 0 and misses nothing: an alert that was not delivered is delivered by the next run.
 */
import { isPattern, type TrustChain } from "@weighlock/manifest"
import { pause } from "@weighlock/node"
import { openSource } from "../audit/source.ts"
import { auditTrust, PinnedRootUnread } from "../audit/trust.ts"
import { ClientError, codeOf } from "../errors.ts"
import type { LogFiles } from "../log-reader.ts"
import { readTrust } from "../session.ts"
import { loadWitnessKeys } from "../witness-keys.ts"
import { readCursor, trustInCursor } from "./cursor.ts"
import type { MonitorOptions, MonitorReport } from "./options.ts"
import { Run } from "./run.ts"

/** Once. Throws what `deliver` throws; UNAVAILABLE where the log cannot be read (after a STALE alert, when it is due). */
export async function monitorOnce(options: MonitorOptions): Promise<MonitorReport> {
  const wrong = options.owned.find((pattern) => !isPattern(pattern))
  if (wrong !== undefined)
    throw new ClientError("USAGE", `${JSON.stringify(wrong)} is not a pattern`, {
      hint: "write <segment>/<segment>, each a literal, prefix* or *",
    })
  const source = openSource(options.source, options.signal)
  try {
    const trustChain = await trustOf(options, source.files)
    await loadWitnessKeys(trustChain)
    const cursor = await readCursor(options.cursor, trustChain, options.owned, Date.now())
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
      const report = await monitorOnce(options) // outside the call: nothing in its brackets runs without an onRun
      options.onRun?.(report)
    } catch (error) {
      if (options.signal?.aborted === true) return
      if (isLasting(error)) throw error
      options.onTrouble?.(error)
    }
    try {
      await pause(options.interval, options.signal)
    } catch {
      return
    }
  }
}

const lasting: ReadonlySet<unknown> = new Set([
  "USAGE",
  "STATE_DAMAGED",
  "STATE_UNUSABLE",
  "TRUST_UNREADABLE",
  "TRUST_PIN_MISMATCH",
])

/** What waiting does not mend. A registry has no say in that: its answer must never end a watch. */
function isLasting(error: unknown): boolean {
  if (error instanceof PinnedRootUnread) return false // whoever answers next may have it
  return lasting.has(codeOf(error))
}

/** A pinned root is asked of the log once: later whoever answers could stop the watch by not answering that. */
async function trustOf({ trust, cursor, signal }: MonitorOptions, files: LogFiles): Promise<TrustChain> {
  const local = await readTrust(trust)
  return (
    local ?? (await trustInCursor(cursor, trust.slice("sha256:".length))) ?? (await auditTrust(trust, files, signal))
  )
}
