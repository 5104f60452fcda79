/**
 * The one step by which a client's view of a log moves: from the checkpoint it has seen to the one the log shows now.
 *
 *     const { checkpoint, note } = await advance({ source, seen, log })
 *     save(note)                                                    // before it is used: the next `seen`
 *
 * A log that shows less, or something else, than it showed before is refused, and the refusal carries the evidence.
 */
import type { Checkpoint } from "./checkpoint.ts"
import { ForkError, type LogSource, proveConsistency } from "./client.ts"
import { decodeUtf8 } from "./encoding.ts"
import { malformed, TlogError } from "./errors.ts"
import type { Hash } from "./hash.ts"
import { noteLimits } from "./note.ts"
import { openWitnessed, type WitnessedCheckpoint, type WitnessedLog } from "./open-checkpoint.ts"

export interface Seen {
  readonly checkpoint: Checkpoint
  /** The signed note it came from; `null` at first contact, with `emptyCheckpoint`. */
  readonly note: string | null
}

export interface AdvanceRequest {
  readonly source: LogSource
  readonly seen: Seen
  readonly log: WitnessedLog
}

/** The checkpoint shown, as `openWitnessed` tells it: whether its quorum is met is for the caller to judge. */
export interface Advanced extends WitnessedCheckpoint {
  /** Exactly as the log showed it. */
  readonly note: string
  /** From what was seen to this. */
  readonly consistency: readonly Hash[]
}

/** Two notes signed for one log that do not fit together: anyone who knows the log's key can check it. */
export interface Evidence {
  readonly seen: string | null
  readonly shown: string
  /** Where both sizes differ: the tree that the shown checkpoint contains at the seen size, and the proof that it does. */
  readonly fork?: { readonly size: number; readonly root: Hash; readonly proof: readonly Hash[] }
}

/** `SHRUNK` or `INCONSISTENT`. */
export class AdvanceError extends TlogError {
  override readonly name = "AdvanceError"
  readonly evidence: Evidence
  constructor(cause: TlogError, evidence: Evidence) {
    super(cause.code, cause.message, { cause })
    this.evidence = evidence
  }
}

/** Throws what `openWitnessed` and `proveConsistency` throw; what shows a misbehaving log is an `AdvanceError`. */
export async function advance({ source, seen, log }: AdvanceRequest): Promise<Advanced> {
  const note = readNote(await source.checkpoint())
  const opened = openWitnessed(note, log)
  try {
    return { ...opened, note, consistency: await proveConsistency(source, seen.checkpoint, opened.checkpoint) }
  } catch (error) {
    if (!(error instanceof TlogError) || (error.code !== "SHRUNK" && error.code !== "INCONSISTENT")) throw error
    throw new AdvanceError(error, { seen: seen.note, shown: note, ...forkOf(error) })
  }
}

function forkOf(error: TlogError): Pick<Evidence, "fork"> {
  if (!(error instanceof ForkError)) return {}
  const { size, root, proof } = error
  return { fork: { size, root, proof } }
}

function readNote(bytes: Uint8Array): string {
  if (bytes.length > noteLimits.bytes) throw malformed(`a checkpoint of ${bytes.length} bytes`)
  const note = decodeUtf8(bytes)
  if (note === null) throw malformed("a checkpoint that is not well-formed UTF-8")
  return note
}
