/**
 * Looking at the log: its newest state, one entry, one proof. Everything returned was verified, and what was seen is kept.
 *
 *     const head = await logHead({ trust: "trust.json" })            // 1042 entries, root nND/nri…
 *     const { leaf, proof } = await logEntry(7, { trust: "trust.json" })
 */
import { envelopeOf, type Leaf, ManifestError, parseLeaf, requireFresh } from "@weighlock/manifest"
import { type Checkpoint, formatProof, hashLeaf, TlogError, verifyInclusion } from "@weighlock/tlog"
import { ClientError } from "./errors.ts"
import { requireOurGenesis } from "./genesis.ts"
import { type LogView, proveGrowth, requireNotShrunk } from "./growth.ts"
import { type LogHead, openHead } from "./log-head.ts"
import type { EntryProof } from "./log-reader.ts"
import { type ClientOptions, type Session, withSession } from "./session.ts"

/** A head, and the state of the log that this machine had seen before. */
export interface SeenHead extends LogHead {
  readonly before: Checkpoint
}

export interface LogEntry {
  readonly index: number
  readonly leaf: Leaf
  /** The exact bytes of the leaf. */
  readonly entry: Uint8Array
  /** Its hash in the tree. */
  readonly hash: Uint8Array
  /** That it is in the log: c2sp.org/tlog-proof, verified. */
  readonly proof: string
  readonly head: LogHead
}

/**
 * The newest state of the log. Whether enough witnesses have confirmed it is told, and kept only if so. Throws ROLLBACK,
 * LOG_INVALID (with evidence), STALE.
 */
export async function logHead(options: ClientOptions): Promise<SeenHead> {
  return await withSession(options, undefined, (session) => readHead(session))
}

/** Throws NOT_FOUND when the log does not hold so many entries, LOG_INVALID when it does not prove that one. */
export async function logEntry(index: number, options: ClientOptions): Promise<LogEntry> {
  if (!Number.isSafeInteger(index) || index < 0) throw new ClientError("USAGE", `${index} is not an entry's index`)
  return await withSession(options, undefined, async (session) => {
    const head = await readHead(session)
    const { size } = head.checkpoint
    if (index >= size)
      throw new ClientError("NOT_FOUND", `the log holds ${size} entries: the last has the index ${size - 1}`)
    const { entry, hashes } = provenEntry(await session.log.proof(index, size), head.checkpoint)
    const proof = formatProof({ index, hashes, checkpoint: head.note })
    return { index, leaf: parseLeaf(entry), entry, hash: hashLeaf(entry), proof, head }
  })
}

/** What an entry is about: in the leaf itself, else fetched and checked. Throws NOT_FOUND, LOG_INVALID. */
export async function logPayload(leaf: Leaf, options: ClientOptions): Promise<Uint8Array> {
  if (leaf.payload.inline !== undefined) return leaf.payload.inline
  return await withSession(options, undefined, async ({ log }) => {
    return envelopeOf(leaf, await log.payload(leaf.payload.sha256)).payload
  })
}

/** The served checkpoint: signed, not less than before, grown out of it; at first contact of the pinned trust root's log. */
export async function readHead(session: Session): Promise<SeenHead> {
  const seen = await session.seen.read()
  const head = openHead(await session.log.checkpoint(), session.trustChain)
  await requireNotShrunk(session, seen, head)
  await proveGrowth(session, seen, head)
  requireFreshHead(head, session.maxStaleness, new Date())
  if (head.checkpoint.size > 0 && seen.checkpoint.size === 0) await requireOurGenesis(session, head.checkpoint)
  if (head.quorum) await keepSeen(session, head, seen)
  return { ...head, before: seen.checkpoint }
}

/** `head` was proven to be consistent with `before`. */
export async function keepSeen(
  view: LogView,
  head: LogHead,
  before: Awaited<ReturnType<LogView["seen"]["read"]>>,
): Promise<void> {
  await view.seen.keep(head, before, (one, other) => proveGrowth(view, one, other))
}

/** Throws STALE. */
export function requireFreshHead({ freshness }: LogHead, maxStaleness: number | null, now: Date): void {
  requireFresh(freshness && freshness.getTime() / 1000, maxStaleness, now)
}

/** Throws LOG_INVALID unless the entry is in that state of the log. */
export function provenEntry(claimed: EntryProof, { size, root }: Checkpoint): EntryProof {
  const { index, entry, hashes } = claimed
  try {
    verifyInclusion({ leaf: hashLeaf(entry), index, size, root, proof: hashes })
    return claimed
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new ManifestError("LOG_INVALID", `entry ${index} is not shown to be in the log: ${cause.message}`, { cause })
  }
}
