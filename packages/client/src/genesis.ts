/**
 * The first contact with a log: its entry 0 must name the trust root that is pinned here, the log's own name and one of its
 * keys. A log that belongs to another trust root is another registry's, whoever signed its checkpoint.
 */
import { ManifestError, type TrustChain, verifyGenesis } from "@weighlock/manifest"
import { type Checkpoint, hashLeaf, type LogSource, proveInclusion, readEntry, TlogError } from "@weighlock/tlog"
import { ClientError } from "./errors.ts"
import { isNoAnswer, type LogReader } from "./log-reader.ts"

interface GenesisView {
  readonly log: LogReader
  readonly trustChain: TrustChain
}

/** Throws LOG_INVALID. `checkpoint` was verified. */
export async function requireOurGenesis({ log, trustChain }: GenesisView, checkpoint: Checkpoint): Promise<void> {
  try {
    const { entry, hashes } = await log.proof(0, checkpoint.size)
    verifyGenesis(entry, hashes, checkpoint, trustChain)
  } catch (error) {
    if (isNoAnswer(error)) throw error
    await requireGenesisByTiles(log, trustChain, checkpoint)
  }
}

/** A helper route is not the last word: the log's own files are. Throws LOG_INVALID. */
export async function requireGenesisByTiles(
  log: LogSource,
  trustChain: TrustChain,
  checkpoint: Checkpoint,
): Promise<void> {
  try {
    const entry = await readEntry(log, 0, checkpoint.size)
    const hashes = await proveInclusion(log, 0, checkpoint, hashLeaf(entry))
    verifyGenesis(entry, hashes, checkpoint, trustChain)
  } catch (cause) {
    if (isNoAnswer(cause)) throw cause
    const isJudged = cause instanceof ManifestError
    if (!isJudged && !(cause instanceof TlogError) && !(cause instanceof ClientError)) throw cause
    const message = isJudged ? cause.message : `the log's first entry is not shown: ${cause.message}`
    throw new ManifestError("LOG_INVALID", message, {
      cause,
      hint: "this log belongs to another registry, or its operator began a new one: ask whoever gave you the trust root",
    })
  }
}
