/**
 * Did the log only grow between two of its states? What was seen and what is shown are both signed by the log, so a "no" is
 * a contradiction of its own making: it is refused, and written down as evidence.
 *
 *     seen 1042 entries, shown 1050: ask for the proof, verify it
 *     seen 1042, shown 1030 in a bundle: may be an older proof of the same history, so the same question
 *     seen 1042, shown 1030 as the newest: ROLLBACK
 */
import { join } from "node:path"
import type { TrustChain } from "@weighlock/manifest"
import { equalHashes, ForkError, type Hash, proveConsistency, TlogError, verifyConsistency } from "@weighlock/tlog"
import { ClientError } from "./errors.ts"
import { type Contradiction, type EvidenceProof, keepEvidence } from "./evidence.ts"
import { isNoAnswer, type LogReader } from "./log-reader.ts"
import type { Seen, SignedCheckpoint } from "./seen.ts"
import { openHead } from "./log-head.ts"

/** What the questions below need of a session. */
export interface LogView {
  readonly trustChain: TrustChain
  readonly seen: Seen
  readonly log: LogReader
}

/**
 * The consistency proof between two states, the one seen and another, verified; empty where none is needed. Throws LOG_INVALID for
 * a fork, ROLLBACK where the registry has lost what was seen, UNAVAILABLE where it can't be asked.
 */
export async function proveGrowth(view: LogView, one: SignedCheckpoint, other: SignedCheckpoint): Promise<Hash[]> {
  const [from, to] = one.checkpoint.size <= other.checkpoint.size ? [one, other] : [other, one]
  if (from.checkpoint.size === 0) return []
  if (from.checkpoint.size === to.checkpoint.size) {
    if (equalHashes(from.checkpoint.root, to.checkpoint.root)) return []
    const what = `the log has signed two histories of ${from.checkpoint.size} entries`
    throw await contradiction(view, { code: "LOG_INVALID", what, seen: one, shown: other, proof: null })
  }
  const ready = await askForProof(view, from, to, one)
  if (ready !== null && isProof(from, to, ready)) return ready
  return await proveByTiles(view, from, to, async (what, proof, cause) =>
    contradiction(view, { code: "LOG_INVALID", what, seen: one, shown: other, proof }, cause),
  )
}

function isProof({ checkpoint: from }: SignedCheckpoint, { checkpoint: to }: SignedCheckpoint, proof: Hash[]): boolean {
  try {
    verifyConsistency({ from, to, proof })
    return true
  } catch (error) {
    if (error instanceof TlogError) return false
    throw error
  }
}

/** The log's own files are the last word: they prove growth, or that another history took the place of the one before. */
async function proveByTiles(
  { log }: LogView,
  { checkpoint: from }: SignedCheckpoint,
  { checkpoint: to }: SignedCheckpoint,
  refuse: (what: string, proof: EvidenceProof | null, cause: unknown) => Promise<ClientError>,
): Promise<Hash[]> {
  try {
    return await proveConsistency(log, from, to)
  } catch (error) {
    if (isNoAnswer(error)) throw error
    if (!(error instanceof TlogError) && !(error instanceof ClientError)) throw error
    const sizes = `${to.size} entries begin with the ${from.size}`
    if (error instanceof ForkError)
      throw await refuse(`the log has signed two histories: its ${sizes} of another one`, error, error)
    throw await refuse(`the log does not show that its ${sizes} that it signed before`, null, error)
  }
}

/** Throws ROLLBACK when the log's newest state, `head`, is smaller than what was seen of it. */
export async function requireNotShrunk(view: LogView, seen: SignedCheckpoint, head: SignedCheckpoint): Promise<void> {
  const [before, after] = [seen.checkpoint.size, head.checkpoint.size]
  if (after >= before) return
  const what = `the log had ${before} entries and now shows ${after} as its newest state`
  throw await contradiction(view, { code: "ROLLBACK", what, seen, shown: head, proof: null })
}

/** Keeps the evidence and makes the error that names it. */
export async function contradiction(
  { seen, trustChain }: Pick<LogView, "seen" | "trustChain">,
  found: Contradiction,
  cause?: unknown,
): Promise<ClientError> {
  const kept = await keepEvidence(join(seen.folder, "evidence"), found, trustChain.current.log)
  return new ClientError(found.code, found.what, {
    cause,
    hint:
      kept === null
        ? `the evidence could not be kept below ${seen.folder}: make room there and ask again`
        : `nothing was used; the evidence is in ${kept}: show it to others who use this log, and to its operator`,
  })
}

/** `null` when the registry says that it has none. */
async function askForProof(
  view: LogView,
  from: SignedCheckpoint,
  to: SignedCheckpoint,
  seen: SignedCheckpoint,
): Promise<Hash[] | null> {
  try {
    return await view.log.consistency(from.checkpoint.size, to.checkpoint.size)
  } catch (error) {
    if (isNoAnswer(error) || !(error instanceof ClientError)) throw error
    // It may have lost entries (a restored backup), and then that is what to say.
    const note = await view.log.checkpoint().catch(() => null)
    if (note !== null) {
      const head = openHead(note, view.trustChain)
      await requireNotShrunk(view, seen, head)
    }
    return null
  }
}
