/**
 * Who signed a note: keys one knows from elsewhere are tried, others are ignored, and a signature that carries a known
 * key's name and id and fails makes the whole note worthless (c2sp.org/signed-note).
 */
import { cosignedMessage, splitCosignature } from "./cosignature.ts"
import { verifyEd25519 } from "./ed25519.ts"
import { encodeBase64, encodeUtf8 } from "./encoding.ts"
import { TlogError } from "./errors.ts"
import { canVerifyMldsa44, verifyMldsa44 } from "./mldsa.ts"
import { type Note, type NoteSignature, parseNote } from "./note.ts"
import { ed25519Type, mldsa44CosignatureType, parseVkey, type VerifierKey, vkeyFault } from "./vkey.ts"

export interface NoteVerifier {
  readonly name: string
  readonly id: string
  /** `false`: nothing here can judge its algorithm (ML-DSA-44), so its signatures are ignored like an unknown key's. */
  readonly able: boolean
  /** `bytes` as in `NoteSignature`. Never throws. */
  verify(text: string, bytes: Uint8Array): boolean
}

export interface OpenedNote {
  readonly note: Note
  /** Those of known keys, at least one. */
  readonly verified: readonly NoteSignature[]
}

/** Throws MALFORMED for what is no verifier key and for a weak one. */
export function noteVerifier(vkey: string | VerifierKey): NoteVerifier {
  const key = typeof vkey === "string" ? parseVkey(vkey) : vkey
  if (key === null) throw new TlogError("MALFORMED", `not a verifier key: ${JSON.stringify(vkey).slice(0, 200)}`)
  const fault = vkeyFault(key)
  if (fault !== null) throw new TlogError("MALFORMED", `the verifier key of ${key.name} ${fault}`)
  return {
    name: key.name,
    id: key.id,
    able: key.type !== mldsa44CosignatureType || canVerifyMldsa44(),
    verify: (text, bytes) => verifyWith(key, text, bytes),
  }
}

/** Throws MALFORMED, or SIGNATURE_INVALID: no signature by a known key, or one that does not verify. */
export function openNote(text: string, verifiers: readonly NoteVerifier[]): OpenedNote {
  const note = parseNote(text)
  const verified = signaturesBy(note, verifiers)
  if (verified.length > 0) return { note, verified }
  const wanted = verifiers.map(({ name, id }) => `${name}+${id}`).join(", ")
  throw new TlogError("SIGNATURE_INVALID", `the note is not signed by ${wanted || "anyone: no key is known"}`)
}

/**
 * A note of up to so many signatures is opened whoever made them (c2sp.org/signed-note asks for 16). In a longer one, a
 * key may have made as many as `perKey`: witnesses date each of theirs, and whoever collects those could fill a note.
 */
const unbounded = 16
const perKey = 4

/**
 * The signatures of known keys, possibly none; a line that is there again is left out. Throws SIGNATURE_INVALID where one
 * does not verify, MALFORMED where one key has signed too often.
 */
export function signaturesBy(note: Note, verifiers: readonly NoteVerifier[]): NoteSignature[] {
  const byKey = Map.groupBy(
    verifiers.filter(({ able }) => able),
    keyOf,
  )
  const signatures = distinct(note.signatures.filter((signature) => byKey.has(keyOf(signature))))
  requireFew(signatures)
  for (const signature of signatures) requireVerified(note.text, signature, byKey.get(keyOf(signature)) ?? [])
  return signatures
}

function keyOf({ name, id }: { readonly name: string; readonly id: string }): string {
  return `${name}+${id}`
}

/** To verify one takes milliseconds, and to repeat it nothing. */
function distinct(signatures: readonly NoteSignature[]): NoteSignature[] {
  const byLine = new Map(
    signatures.map((signature) => [`${keyOf(signature)} ${encodeBase64(signature.bytes)}`, signature]),
  )
  return [...byLine.values()]
}

function requireFew(signatures: readonly NoteSignature[]): void {
  if (signatures.length <= unbounded) return
  for (const [key, own] of Map.groupBy(signatures, keyOf)) {
    if (own.length > perKey)
      throw new TlogError("MALFORMED", `the signed note carries ${own.length} signatures by ${key}`)
  }
}

function requireVerified(text: string, signature: NoteSignature, known: readonly NoteVerifier[]): void {
  // Two known keys of one name and id: ids are short. Either may have signed.
  if (known.some((verifier) => verifier.verify(text, signature.bytes))) return
  throw new TlogError("SIGNATURE_INVALID", `the signature by ${keyOf(signature)} does not verify`)
}

function verifyWith({ name, type, publicKey }: VerifierKey, text: string, bytes: Uint8Array): boolean {
  if (type === ed25519Type) return verifyEd25519(publicKey, bytes, encodeUtf8(text))
  const timed = splitCosignature(bytes)
  if (timed === null) return false
  const message = messageOrNull(type, name, timed.time, text)
  if (message === null) return false
  if (type === mldsa44CosignatureType) return verifyMldsa44(publicKey, timed.signature, message)
  return verifyEd25519(publicKey, timed.signature, message)
}

/** A note that is no checkpoint can't be cosigned. */
function messageOrNull(type: number, name: string, time: number, text: string): Uint8Array | null {
  try {
    return cosignedMessage(type, name, time, text)
  } catch {
    return null
  }
}
