/** The trust root an audit judges by: a file, or the log's own entry 1 where that is the pinned one. */
import { CodedError, envelopeOf, formatEnvelope, openTrustChain, parseLeaf, type TrustChain } from "@weighlock/manifest"
import { parseCheckpoint, readEntry, TlogError } from "@weighlock/tlog"
import { ClientError } from "../errors.ts"
import { isNoAnswer, type LogFiles } from "../log-reader.ts"
import { readTrust } from "../session.ts"

/** What a registry, or a folder, has in place of the pinned root: nothing that says how it is tomorrow. */
export class PinnedRootUnread extends ClientError {
  constructor(cause: Error) {
    super("TRUST_UNREADABLE", `the log's entry 1 is not the pinned trust root: ${cause.message}`, {
      cause,
      hint: "give the trust root as a file",
    })
  }
}

/** Throws TRUST_UNREADABLE, TRUST_PIN_MISMATCH … */
export async function auditTrust(trust: string, files: LogFiles, signal?: AbortSignal): Promise<TrustChain> {
  return (await readTrust(trust)) ?? (await pinnedTrust(trust.slice("sha256:".length), files, signal))
}

// Nothing of this is believed but what has the pinned digest.
async function pinnedTrust(digest: string, files: LogFiles, signal: AbortSignal | undefined): Promise<TrustChain> {
  try {
    const note = Buffer.from(await files.checkpoint()).toString()
    const { size } = parseCheckpoint(note.slice(0, note.lastIndexOf("\n\n") + 1))
    const leaf = parseLeaf(await readEntry(files, 1, size))
    const payload = leaf.payload.inline === undefined ? await files.payload(leaf.payload.sha256) : null
    return openTrustChain([formatEnvelope(envelopeOf(leaf, payload))], { by: "digest", digest })
  } catch (cause) {
    signal?.throwIfAborted()
    const isOfLog = cause instanceof CodedError || cause instanceof TlogError
    throw isNoAnswer(cause) || !isOfLog ? cause : new PinnedRootUnread(cause)
  }
}
