/** From a signed note to a checkpoint one may rely on: by whom it is signed, and whether enough witnesses have seen it. */
import { type Checkpoint, parseCheckpoint } from "./checkpoint.ts"
import { splitCosignature } from "./cosignature.ts"
import { TlogError } from "./errors.ts"
import { emptyRoot, equalHashes } from "./hash.ts"
import type { Note, NoteSignature } from "./note.ts"
import { judgeQuorum, type Policy } from "./policy.ts"
import { noteVerifier, type NoteVerifier, openNote, signaturesBy } from "./verifier.ts"
import { ed25519CosignatureType, parseVkey } from "./vkey.ts"

export interface LogIdentity {
  readonly origin: string
  /** Any one of these keys signs for the log. */
  readonly vkeys: readonly string[]
}

export interface WitnessedLog extends LogIdentity {
  readonly policy: Policy
}

export interface Cosignature {
  /** The policy's name for the witness. */
  readonly name: string
  readonly vkey: string
  /** POSIX seconds. */
  readonly time: number
}

export interface WitnessedCheckpoint {
  readonly checkpoint: Checkpoint
  /** Of the policy's witnesses, the newest of each. */
  readonly cosignatures: readonly Cosignature[]
  /** Whether they meet the policy's quorum; always so with `quorum none`. */
  readonly quorum: boolean
  /** POSIX seconds: the largest t such that cosignatures dated t or later meet the quorum. `null`: none is promised. */
  readonly freshness: number | null
}

/**
 * Verifies the log's own signature. Throws MALFORMED, UNSUPPORTED, SIGNATURE_INVALID (not signed by the log, or another
 * log's), INCONSISTENT (a tree without entries has one root only).
 */
export function openCheckpoint(note: string, log: LogIdentity): Checkpoint {
  return open(note, log).checkpoint
}

/**
 * `openCheckpoint`, and every cosignature by the policy's witnesses verified. A quorum that is missing is told, not
 * thrown; a cosignature that carries a witness's name and fails is SIGNATURE_INVALID.
 */
export function openWitnessed(note: string, { policy, ...log }: WitnessedLog): WitnessedCheckpoint {
  const { checkpoint, opened } = open(note, log)
  const verifiers = policy.witnesses.map(({ vkey }) => noteVerifier(vkey))
  const verified = signaturesBy(opened, verifiers)
  const cosignatures = policy.witnesses.flatMap(({ name, vkey }, at) => {
    const time = newest(verified, verifiers[at])
    return time === null ? [] : [{ name, vkey, time }]
  })
  const { met, freshness } = judgeQuorum(policy, new Map(cosignatures.map(({ vkey, time }) => [vkey, time])))
  return { checkpoint, cosignatures, quorum: met, freshness }
}

function open(note: string, { origin, vkeys }: LogIdentity): { checkpoint: Checkpoint; opened: Note } {
  const { note: opened } = openNote(note, vkeys.map(logVerifier))
  const checkpoint = parseCheckpoint(opened.text)
  if (checkpoint.origin !== origin) {
    throw new TlogError("SIGNATURE_INVALID", `a checkpoint of ${JSON.stringify(checkpoint.origin)}, not of ${origin}`)
  }
  if (checkpoint.size === 0 && !equalHashes(checkpoint.root, emptyRoot())) {
    throw new TlogError("INCONSISTENT", `${origin} signed a checkpoint of no entries with a root of some`)
  }
  return { checkpoint, opened }
}

function newest(verified: readonly NoteSignature[], by: NoteVerifier | undefined): number | null {
  const own = verified.filter(({ name, id }) => name === by?.name && id === by.id)
  const times = own.flatMap(({ bytes }) => splitCosignature(bytes)?.time ?? [])
  return times.length === 0 ? null : Math.max(...times)
}

/** A witness's key says "I have seen", never "this is my log". */
function logVerifier(vkey: string): NoteVerifier {
  if (parseVkey(vkey)?.type === ed25519CosignatureType) {
    throw new TlogError("MALFORMED", `${vkey} is a witness's key, not a log's`)
  }
  return noteVerifier(vkey)
}
