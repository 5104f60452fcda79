/**
 * Whether a checkpoint that somebody shows proves that this log is not the one that was published: it runs on an old backup,
 * or a second registry signs with its key. Whoever goes on then makes a fork for all to see.
 *
 *     the log's key signed 1042 entries, here are 1040       proof
 *     the log's key signed another root of 1040 entries      proof
 *     signed by another key, or of a state of this log       none
 */
import type { TrustRoot } from "@weighlock/manifest"
import { type Checkpoint, TlogError, equalHashes, openCheckpoint } from "@weighlock/tlog"

import type { Log } from "./log.ts"

/** Said as a sentence's end; `null`: it proves nothing. */
export async function disproof(log: Log, identity: TrustRoot["log"], note: string): Promise<string | null> {
  const shown = openOwn(note, identity)
  if (shown === null) return null
  const { size } = log.served.newest // read now: whatever this process has signed before is no larger
  if (shown.size > size) return `${shown.size} entries were published, and the database has ${size}: it is an old one`
  if (equalHashes(await log.root(shown.size), shown.root)) return null
  return `another history of ${shown.size} entries was published than the database has`
}

function openOwn(note: string, identity: TrustRoot["log"]): Checkpoint | null {
  try {
    return openCheckpoint(note, identity)
  } catch (error) {
    if (error instanceof TlogError) return null
    throw error
  }
}
