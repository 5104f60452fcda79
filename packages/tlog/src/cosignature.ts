/**
 * A cosignature says when a witness saw this checkpoint as the largest of its log, consistent with all before
 * (c2sp.org/tlog-cosignature). Its bytes are an 8-byte big-endian POSIX time and a signature over, for Ed25519 (0x04):
 *
 *     cosignature/v1
 *     time 1795435200
 *     models.acme.example/log
 *     42
 *     nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=
 *
 * and for ML-DSA-44 (0x06) a binary message that names the cosigner too and holds no extension lines.
 */
import { parseCheckpoint } from "./checkpoint.ts"
import { encodeUtf8 } from "./encoding.ts"
import { TlogError } from "./errors.ts"
import { ed25519CosignatureType, mldsa44CosignatureType } from "./vkey.ts"

/** POSIX seconds of the end of the year 9999: what is later is no date that can be written. */
const latestTime = 253_402_300_799

export interface TimedSignature {
  /** POSIX seconds, at most `latestTime`. */
  readonly time: number
  readonly signature: Uint8Array
}

/** What a cosigner called `name` signs with a key of `type` at `time` for a checkpoint note of that text. Throws MALFORMED. */
export function cosignedMessage(type: number, name: string, time: number, text: string): Uint8Array<ArrayBuffer> {
  const checkpoint = parseCheckpoint(text)
  requireTime(time)
  if (type === ed25519CosignatureType) return encodeUtf8(`cosignature/v1\ntime ${time}\n${text}`)
  if (type !== mldsa44CosignatureType) throw new TlogError("UNSUPPORTED", `no cosignature has type ${type}`)
  return Uint8Array.of(
    ...encodeUtf8("subtree/v1\n\0"),
    ...shortText(name),
    ...unsigned64(time),
    ...shortText(checkpoint.origin),
    ...unsigned64(0),
    ...unsigned64(checkpoint.size),
    ...checkpoint.root,
  )
}

/** `null` where the bytes are too short or the time is past `latestTime`. */
export function splitCosignature(bytes: Uint8Array): TimedSignature | null {
  if (bytes.length <= 8) return null
  const time = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0))
  return time <= latestTime ? { time, signature: bytes.subarray(8) } : null
}

export function joinCosignature({ time, signature }: TimedSignature): Uint8Array<ArrayBuffer> {
  requireTime(time)
  return Uint8Array.of(...unsigned64(time), ...signature)
}

function requireTime(time: number): void {
  if (Number.isInteger(time) && time >= 0 && time <= latestTime) return
  throw new TlogError("MALFORMED", `${time} is no POSIX time up to the year 9999`)
}

function unsigned64(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

/** Of what an ML-DSA-44 cosignature names, in bytes. */
export const longestName = 255

/** `opaque text<1..2^8-1>` (RFC 8446 §3.4). */
function shortText(text: string): Uint8Array {
  const bytes = encodeUtf8(text)
  if (bytes.length > longestName)
    throw new TlogError("MALFORMED", `a name of more than ${longestName} bytes can't be cosigned`)
  return Uint8Array.of(bytes.length, ...bytes)
}
