/** The trust root an audit judges by: a file, or the log's own entry 1 where that is the pinned one. */
import { envelopeOf, formatEnvelope, openTrustChain, parseLeaf, type TrustChain } from "@weighlock/manifest"
import { parseCheckpoint, readEntry } from "@weighlock/tlog"
import { ClientError } from "../errors.ts"
import type { LogFiles } from "../log-reader.ts"
import { readTrust } from "../session.ts"

/** Throws TRUST_UNREADABLE, TRUST_PIN_MISMATCH … */
export async function auditTrust(trust: string, files: LogFiles): Promise<TrustChain> {
  return (await readTrust(trust)) ?? (await pinnedTrust(trust.slice("sha256:".length), files))
}

// Nothing of this is believed but what has the pinned digest.
async function pinnedTrust(digest: string, files: LogFiles): Promise<TrustChain> {
  try {
    const note = Buffer.from(await files.checkpoint()).toString()
    const { size } = parseCheckpoint(note.slice(0, note.lastIndexOf("\n\n") + 1))
    const leaf = parseLeaf(await readEntry(files, 1, size))
    const payload = leaf.payload.inline === undefined ? await files.payload(leaf.payload.sha256) : null
    return openTrustChain([formatEnvelope(envelopeOf(leaf, payload))], { by: "digest", digest })
  } catch (cause) {
    if ((cause as { code?: unknown }).code === "UNAVAILABLE") throw cause
    throw new ClientError(
      "TRUST_UNREADABLE",
      `the log's entry 1 is not the pinned trust root: ${(cause as Error).message}`,
      {
        cause,
        hint: "give the trust root as a file",
      },
    )
  }
}
