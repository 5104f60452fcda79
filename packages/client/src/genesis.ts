/**
 * The first contact with a log: its entry 0 must name the trust root that is pinned here, the log's own name and one of its
 * keys. A log that belongs to another trust root is another registry's, whoever signed its checkpoint.
 */
import { ManifestError, verifyGenesis } from "@weighlock/manifest"
import type { Checkpoint } from "@weighlock/tlog"
import type { LogView } from "./growth.ts"

/** Throws LOG_INVALID. `checkpoint` was verified. */
export async function requireOurGenesis({ log, trustChain }: LogView, checkpoint: Checkpoint): Promise<void> {
  const { entry, hashes } = await log.proof(0, checkpoint.size)
  try {
    verifyGenesis(entry, hashes, checkpoint, trustChain)
  } catch (cause) {
    if (!(cause instanceof ManifestError)) throw cause
    throw new ManifestError(cause.code, cause.message, {
      cause,
      hint: "this log belongs to another registry, or its operator began a new one: ask whoever gave you the trust root",
    })
  }
}
