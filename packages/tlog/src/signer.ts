/** Signing notes and cosigning checkpoints with a key that may live elsewhere: a file, an agent, a key service. */
import { cosignedMessage, joinCosignature } from "./cosignature.ts"
import { ed25519Spki, verifyEd25519WithNoble, verifyEd25519WithNode } from "./ed25519.ts"
import { encodeUtf8 } from "./encoding.ts"
import { TlogError } from "./errors.ts"
import { canVerifyMldsa44, verifyMldsa44 } from "./mldsa.ts"
import { formatNote, type Note, type NoteSignature } from "./note.ts"
import { ed25519Type, mldsa44CosignatureType, parseVkey, type VerifierKey } from "./vkey.ts"

export interface NoteSigner {
  readonly vkey: string
  /** The bare signature (64 bytes for Ed25519) of exactly these bytes. */
  sign(message: Uint8Array): Uint8Array | Promise<Uint8Array>
}

/** Signs `text` with Ed25519 note keys (0x01). Throws MALFORMED, or SIGNATURE_INVALID where a signer is not who its vkey says. */
export async function signNote(text: string, signers: readonly NoteSigner[]): Promise<Note> {
  const signatures = await Promise.all(signers.map((signer) => signText(text, signer)))
  const note = { text, signatures }
  formatNote(note)
  return note
}

/** One cosignature of a checkpoint note's text at `time`, POSIX seconds, by a key of type 0x04 or 0x06. Throws as `signNote`. */
export async function cosign(text: string, signer: NoteSigner, time: number): Promise<NoteSignature> {
  const key = keyOf(signer)
  const signature = await signWith(signer, key, cosignedMessage(key.type, key.name, time, text))
  return { name: key.name, id: key.id, bytes: joinCosignature({ time, signature }) }
}

async function signText(text: string, signer: NoteSigner): Promise<NoteSignature> {
  const key = keyOf(signer)
  if (key.type !== ed25519Type) throw new TlogError("MALFORMED", `${signer.vkey} cosigns, it does not sign notes`)
  return { name: key.name, id: key.id, bytes: await signWith(signer, key, encodeUtf8(text)) }
}

function keyOf({ vkey }: NoteSigner): VerifierKey {
  const key = parseVkey(vkey)
  if (key !== null) return key
  throw new TlogError("MALFORMED", `a signer's verifier key is none: ${JSON.stringify(vkey.slice(0, 200))}`)
}

/** A signer with another key, or one that failed while it computed, is found here and not by those who read the log. */
async function signWith(signer: NoteSigner, key: VerifierKey, message: Uint8Array): Promise<Uint8Array> {
  const signature = Uint8Array.from(await signer.sign(message))
  if (verifies(key, signature, message)) return signature
  throw new TlogError("SIGNATURE_INVALID", `what the signer of ${key.name}+${key.id} made does not verify`)
}

/** Not a judgement about strangers: one implementation is enough for what this process signed itself. */
function verifies({ type, publicKey }: VerifierKey, signature: Uint8Array, message: Uint8Array): boolean {
  if (type === mldsa44CosignatureType) return !canVerifyMldsa44() || verifyMldsa44(publicKey, signature, message)
  return (
    signature.length === 64 &&
    (verifyEd25519WithNode(ed25519Spki(publicKey), signature, message) ??
      verifyEd25519WithNoble(publicKey, signature, message))
  )
}
