/**
 * What a registry that is made anew must not be behind. Exports and published folders are copies of some moment; a registry
 * that goes on from one before the last acknowledged publish signs a second history. So something must say how far the log
 * was:
 *
 *     the copy of the checkpoint     kept on another disk, it survives the data folder; proven as at every start
 *     a checkpoint in a file         the newest that a client, an auditor or a witness has
 *     "nothing newer was published"  the operator's word
 */
import { readFile } from "node:fs/promises"

import type { TrustRoot } from "@weighlock/manifest"
import { type Checkpoint, formatNote, openCheckpoint, parseNote, parseVkey } from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import { CheckpointCopy } from "./checkpoint-copy.ts"

export interface NewestKnown {
  readonly source: string
  readonly checkpointCopy: string
  readonly checkpoint?: string
  readonly newest?: boolean
}

export interface ReadCheckpoint {
  readonly checkpoint: Checkpoint
  /** As the log itself signed it, without what witnesses added. */
  readonly note: string
}

/** USAGE: no such file. STORE_FAILED: not a checkpoint of this log. */
export async function readCheckpoint(path: string, log: TrustRoot["log"]): Promise<ReadCheckpoint> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new RegistryError("USAGE", `there is no checkpoint of a log at ${path}`, { cause })
  })
  try {
    const checkpoint = openCheckpoint(text, log)
    const own = log.vkeys.map((vkey) => parseVkey(vkey)?.id)
    const { text: body, signatures } = parseNote(text)
    const signed = signatures.filter(({ name, id }) => name === log.origin && own.includes(id))
    return { checkpoint, note: formatNote({ text: body, signatures: signed }) }
  } catch (cause) {
    throw new RegistryError("STORE_FAILED", `the checkpoint ${path} is not of ${log.origin}`, { cause })
  }
}

/**
 * The state that the source must have gone through; `null`: the copy says, or the operator did. Throws USAGE when nothing
 * says, STORE_FAILED when the source is behind.
 */
export async function newestKnown(
  { source, checkpointCopy, checkpoint: path, newest = false }: NewestKnown,
  { size }: Checkpoint,
  log: TrustRoot["log"],
): Promise<Checkpoint | null> {
  const known = path === undefined ? null : (await readCheckpoint(path, log)).checkpoint
  if (known && known.size > size) {
    const message = `${known.size} entries were published, ${source} has ${size}: it is an old one`
    throw new RegistryError("STORE_FAILED", message, { hint: "take a newer export: it need not be your own" })
  }
  if (known || newest || (await CheckpointCopy.read(checkpointCopy)) !== null) return known
  throw new RegistryError("USAGE", `nothing says whether more than the ${size} entries in ${source} were published`, {
    hint:
      "whoever goes on from an old export signs a second history: name the copy of the checkpoint (--checkpoint-copy) " +
      "or the newest checkpoint anybody has (--checkpoint FILE), or say that there was nothing newer (--newest)",
  })
}
