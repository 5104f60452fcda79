/** A bundle or a proof on its own, offline: what somebody kept, judged against what this machine has seen. */
import {
  type Bundle,
  type FixedReference,
  type Leaf,
  ManifestError,
  parseLeaf,
  type TrustChain,
  verify,
  type VerifiedManifest,
} from "@weighlock/manifest"
import {
  type Checkpoint,
  emptyCheckpoint,
  equalHashes,
  hashLeaf,
  parseProof,
  TlogError,
  verifyInclusion,
} from "@weighlock/tlog"
import { ClientError } from "./errors.ts"
import { requireFreshHead } from "./log.ts"
import { type LogHead, openHead } from "./log-head.ts"
import { Seen } from "./seen.ts"
import { loadWitnessKeys } from "./witness-keys.ts"

interface Offline {
  readonly trustChain: TrustChain
  /** Folder of what was seen, as in `ClientOptions`. */
  readonly state: string
  /** Seconds. */
  readonly maxStaleness: number | null
  readonly now: Date
}

export interface ReceiptRequest extends Offline {
  readonly reference: FixedReference
  readonly bundle: Bundle
}

export interface VerifiedReceipt {
  readonly manifest: VerifiedManifest
  /**
   * Whether its state of the log is the very one this machine has seen. Where the sizes differ, only the log can show that
   * one grew out of the other, and nobody asked it.
   */
  readonly seenBefore: boolean
}

/**
 * Throws what `verify` throws; LOG_INVALID when this machine has seen another history of the same size; STATE_DAMAGED.
 * Saves nothing: that this is the log's history was not shown.
 */
export async function verifyReceipt({ state, ...request }: ReceiptRequest): Promise<VerifiedReceipt> {
  const { trustChain } = request
  await loadWitnessKeys(trustChain)
  const empty = emptyCheckpoint(trustChain.current.log.origin)
  const { checkpoint: seen } = await new Seen(state, trustChain).read()
  const manifest = verify({ ...request, seen: empty, consistency: [] })
  if (seen.size !== manifest.checkpoint.size) return { manifest, seenBefore: false }
  return { manifest: verify({ ...request, seen, consistency: [] }), seenBefore: true }
}

export interface LogProofRequest extends Offline {
  /** The exact bytes of the leaf. */
  readonly entry: Uint8Array
  /** Text of c2sp.org/tlog-proof. */
  readonly proof: string
}

export interface VerifiedLogProof {
  readonly leaf: Leaf
  readonly index: number
  readonly checkpoint: Checkpoint
  readonly freshness: Date | null
  readonly seenBefore: boolean
}

/** That an entry, of whatever kind, is in the log. Throws LOG_INVALID, NOT_YET_WITNESSED, STALE, STATE_DAMAGED. */
export async function verifyLogProof(request: LogProofRequest): Promise<VerifiedLogProof> {
  const { entry, trustChain, state, maxStaleness, now } = request
  await loadWitnessKeys(trustChain)
  const { index, head } = openLogProof(request)
  if (!head.quorum) throw new ClientError("NOT_YET_WITNESSED", "too few witnesses have cosigned the proof's checkpoint")
  requireFreshHead(head, maxStaleness, now)
  const { checkpoint: seen } = await new Seen(state, trustChain).read()
  const { checkpoint, freshness } = head
  if (seen.size === checkpoint.size && !equalHashes(seen.root, checkpoint.root))
    throw new ManifestError("LOG_INVALID", `this machine has seen another history of ${seen.size} entries`)
  return { leaf: parseLeaf(entry), index, checkpoint, freshness, seenBefore: seen.size === checkpoint.size }
}

function openLogProof({ entry, proof, trustChain }: LogProofRequest): { index: number; head: LogHead } {
  try {
    const { index, hashes, checkpoint: note, extra } = parseProof(proof)
    if (extra !== undefined) throw new ManifestError("LOG_INVALID", "the proof carries extra data, which nothing signs")
    const head = openHead(Buffer.from(note), trustChain)
    const { size, root } = head.checkpoint
    verifyInclusion({ leaf: hashLeaf(entry), index, size, root, proof: hashes })
    return { index, head }
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new ManifestError("LOG_INVALID", `the proof does not hold: ${cause.message}`, { cause })
  }
}
