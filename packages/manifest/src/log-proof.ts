/**
 * From the text of a proof to what the log says: which entry, at which index, in which state of the log, and who has
 * witnessed that state. Every failure is LOG_INVALID, with tlog's own error as its cause; a quorum that is still missing
 * is NOT_YET_WITNESSED.
 */
import {
  type Checkpoint,
  type Hash,
  hashLeaf,
  openWitnessed,
  parseProof,
  parseWitnessPolicy,
  type Proof,
  TlogError,
  verifyConsistency,
  verifyInclusion,
  type WitnessedCheckpoint,
  type WitnessedLog,
} from "@weighlock/tlog"
import type { Bundle } from "./bundle.ts"
import { ManifestError } from "./errors.ts"
import { type Genesis, parseGenesis } from "./genesis.ts"
import { requireGenesis } from "./history.ts"
import { envelopeOf, type Leaf, parseLeaf } from "./leaf.ts"
import type { TrustChain } from "./trust-chain.ts"

/** Included in a state of the log that its key signed, enough witnesses saw, and that does not contradict `seen`. */
export interface LoggedEntry {
  readonly leaf: Leaf
  readonly index: number
  readonly checkpoint: Checkpoint
  /** The signed note, exact. */
  readonly note: string
  /** POSIX seconds; `null`: no freshness is promised. */
  readonly freshness: number | null
}

/** The log that a trust root names, as `@weighlock/tlog` takes it. */
export function trustedLog({ current }: TrustChain): WitnessedLog {
  const { origin, vkeys, policy } = current.log
  return { origin, vkeys, policy: parseWitnessPolicy(policy) }
}

/**
 * `seen` is a state of this log that was verified before, at first contact its empty one; `consistency` proves that the
 * smaller of it and the bundle's is a beginning of the larger.
 */
export function openProof(
  bundle: Bundle,
  trustChain: TrustChain,
  seen: Checkpoint,
  consistency: readonly Hash[],
): LoggedEntry {
  return logInvalid("the proof of the log does not hold", () => {
    const { entry, proof, witnessed } = openBundle(bundle, trustChain)
    const { checkpoint, freshness, quorum } = witnessed
    const leaf = parseLeaf(entry)
    verifyInclusion({ leaf: hashLeaf(entry), index: proof.index, ...headOf(checkpoint), proof: proof.hashes })
    requireOneLog(checkpoint, seen, consistency) // the log only grew
    if (!quorum) throw notYetWitnessed(checkpoint)
    return { leaf, index: proof.index, checkpoint, note: proof.checkpoint, freshness }
  })
}

/**
 * The state of the log that a bundle's proof leads to, signed by the log: what a consistency proof is to be asked for.
 * Nothing else of the bundle is believed yet. Throws LOG_INVALID.
 */
export function checkpointOf(bundle: Bundle, trustChain: TrustChain): Checkpoint {
  return logInvalid("the bundle's checkpoint does not hold", () => openBundle(bundle, trustChain).witnessed.checkpoint)
}

/**
 * What a client asks of the first log it meets: is entry 0 of `checkpoint`, which is signed by the log, a genesis that
 * names the pinned trust root? `hashes` is its inclusion proof. Throws LOG_INVALID.
 */
export function verifyGenesis(
  entry: Uint8Array,
  hashes: readonly Hash[],
  checkpoint: Checkpoint,
  trustChain: TrustChain,
): Genesis {
  return logInvalid("the log's genesis does not hold", () => {
    verifyInclusion({ leaf: hashLeaf(entry), index: 0, ...headOf(checkpoint), proof: hashes })
    const leaf = parseLeaf(entry)
    if (leaf.op !== "genesis") throw notLogged(`entry 0 is a ${leaf.op}`)
    const genesis = parseGenesis(envelopeOf(leaf, null).payload)
    requireGenesis(trustChain, genesis)
    return genesis
  })
}

function openBundle(
  { entry, proof: text }: Bundle,
  trustChain: TrustChain,
): { readonly entry: Uint8Array; readonly proof: Proof; readonly witnessed: WitnessedCheckpoint } {
  if (entry === undefined || text === undefined) {
    throw notLogged(
      "not logged: the bundle carries no log entry with a proof",
      "publish it, or fetch it from its registry",
    )
  }
  const proof = parseProof(text)
  if (proof.extra !== undefined) throw notLogged("the proof carries extra data, which nothing signs")
  return { entry, proof, witnessed: openWitnessed(proof.checkpoint, trustedLog(trustChain)) }
}

function requireOneLog(checkpoint: Checkpoint, seen: Checkpoint, consistency: readonly Hash[]): void {
  if (seen.origin !== checkpoint.origin) {
    throw notLogged(`the checkpoint is of ${checkpoint.origin}, seen before was ${seen.origin}`)
  }
  const [from, to] = seen.size <= checkpoint.size ? [seen, checkpoint] : [checkpoint, seen]
  verifyConsistency({ from: headOf(from), to: headOf(to), proof: consistency })
}

function headOf({ size, root }: Checkpoint): { readonly size: number; readonly root: Hash } {
  return { size, root }
}

function logInvalid<T>(what: string, open: () => T): T {
  try {
    return open()
  } catch (cause) {
    if (cause instanceof TlogError) throw new ManifestError("LOG_INVALID", `${what}: ${cause.message}`, { cause })
    const inside = cause instanceof ManifestError && cause.code !== "LOG_INVALID" && cause.code !== "NOT_YET_WITNESSED"
    throw inside ? new ManifestError("LOG_INVALID", `${what}: ${cause.message}`, { cause }) : cause
  }
}

export function notLogged(message: string, hint?: string): ManifestError {
  return new ManifestError("LOG_INVALID", message, hint === undefined ? {} : { hint })
}

function notYetWitnessed({ size }: Checkpoint): ManifestError {
  return new ManifestError(
    "NOT_YET_WITNESSED",
    `fewer witnesses than the trust root asks for have cosigned the log at ${size} entries`,
    { hint: "ask again in a few seconds: it is logged, and safe to repeat" },
  )
}
