/**
 * What a witness makes of an add-checkpoint request (c2sp.org/tlog-witness), in the order of its text.
 *
 *     400 no such request, or old > size    404 a log not watched      403 not signed by that log
 *     409 old is not what was cosigned last: here is that size         422 the log did not only grow
 */
import {
  type Checkpoint,
  type Hash,
  type Note,
  type NoteSignature,
  TlogError,
  emptyRoot,
  encodeUtf8,
  equalHashes,
  formatNote,
  formatTlogSize,
  noteVerifier,
  openNote,
  parseAddCheckpoint,
  parseCheckpoint,
  parseNote,
  tlogSizeType,
  verifyConsistency,
} from "@weighlock/tlog"

import type { Cosignment } from "./store.ts"

export interface Submission {
  readonly oldSize: number
  readonly proof: readonly Hash[]
  readonly checkpoint: Checkpoint
  /** The text, and the log's own signatures that hold, one a key. */
  readonly note: Note
}

/** An answer other than 200. */
export class Refusal extends Error {
  readonly status: number
  readonly type: string
  constructor(status: number, message: string, type = "text/plain; charset=utf-8") {
    super(message)
    this.status = status
    this.type = type
  }
}

/** What it would cosign cannot be kept now: nothing was written, and nothing is cosigned. */
export class Unkept extends Refusal {
  constructor(cause: unknown) {
    super(503, "what would be cosigned cannot be kept now\n")
    this.cause = cause
  }
}

/** Two trees of one size under the log's signature: what convicts it. The answer is a 422 like any other. */
export class Fork extends Refusal {
  readonly seen: string
  readonly shown: string
  /** Both signed notes. */
  constructor(seen: string, shown: string) {
    super(422, "another tree of that size was cosigned\n")
    this.seen = seen
    this.shown = shown
  }
}

/** What is kept beside the database has to fit its place. No log needs more than three short lines. */
const textCap = 2048

/** The request read and its signature verified; nothing said yet about what the log was before. Throws a Refusal. */
export function openSubmission(body: string, keysOf: (origin: string) => readonly string[]): Submission {
  const { oldSize, proof, checkpoint: note } = parsed(() => parseAddCheckpoint(body))
  const checkpoint = parsed(() => parseCheckpoint(parseNote(note).text))
  const vkeys = keysOf(checkpoint.origin)
  if (vkeys.length === 0) throw new Refusal(404, "this witness does not watch that log\n")
  const opened = openSigned(note, vkeys)
  if (encodeUtf8(opened.text).length > textCap) throw new Refusal(400, `a checkpoint of more than ${textCap} bytes\n`)
  if (oldSize > checkpoint.size) throw new Refusal(400, "the old size is larger than the checkpoint's\n")
  return { oldSize, proof, checkpoint, note: opened }
}

/** Whether the log only grew since it was cosigned last. Throws a Refusal. */
export function requireGrowth({ oldSize, proof, checkpoint, note }: Submission, last: Cosignment | null): void {
  const seen = last ?? { size: 0, root: emptyRoot() }
  if (oldSize !== seen.size) throw new Refusal(409, formatTlogSize(seen.size), tlogSizeType)
  if (last !== null && last.size === checkpoint.size && !equalHashes(last.root, checkpoint.root)) {
    throw new Fork(last.note, formatNote(note))
  }
  try {
    verifyConsistency({ from: seen, to: checkpoint, proof })
  } catch (error) {
    if (error instanceof TlogError)
      throw new Refusal(422, "the checkpoint is not proven to contain what was cosigned\n")
    throw error
  }
}

function openSigned(note: string, vkeys: readonly string[]): Note {
  try {
    const { note: opened, verified } = openNote(note, vkeys.map(noteVerifier))
    return { text: opened.text, signatures: firstOfEach(verified) }
  } catch (error) {
    if (error instanceof TlogError) throw new Refusal(403, "the checkpoint is not signed by that log\n")
    throw error
  }
}

function firstOfEach(signatures: readonly NoteSignature[]): NoteSignature[] {
  const byKey = new Map(signatures.toReversed().map((signature) => [`${signature.name}+${signature.id}`, signature]))
  return [...byKey.values()].toReversed()
}

function parsed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof TlogError) throw new Refusal(400, `${error.message}\n`)
    throw error
  }
}
