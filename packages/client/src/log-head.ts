/** The newest state of the log as the registry serves it at /log/checkpoint: signed, cosigned, and never less than before. */
import { decodeUtf8, ManifestError, type TrustChain, trustedLog } from "@weighlock/manifest"
import { type Cosignature, openWitnessed, TlogError } from "@weighlock/tlog"
import type { SignedCheckpoint } from "./seen.ts"

export interface LogHead extends SignedCheckpoint {
  readonly note: string
  /** By witnesses that the trust root's policy names. */
  readonly cosignatures: readonly Cosignature[]
  /** Whether the policy is met. */
  readonly quorum: boolean
  /** Since when nobody can have been shown less: `null` when no witness bounds it. */
  readonly freshness: Date | null
}

/** Throws LOG_INVALID unless the log's own key has signed it. Whether the quorum is met is told, not judged. */
export function openHead(note: Uint8Array, trustChain: TrustChain): LogHead {
  try {
    const text = decodeUtf8(note, "the checkpoint")
    const { checkpoint, cosignatures, quorum, freshness } = openWitnessed(text, trustedLog(trustChain))
    return {
      checkpoint,
      note: text,
      cosignatures,
      quorum,
      freshness: freshness === null ? null : new Date(1000 * freshness),
    }
  } catch (cause) {
    if (!(cause instanceof TlogError) && !(cause instanceof ManifestError)) throw cause
    throw new ManifestError("LOG_INVALID", `the log's checkpoint is not one: ${cause.message}`, { cause })
  }
}
