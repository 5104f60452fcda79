/**
 * Verifier keys of signed notes (c2sp.org/signed-note): who may sign or cosign the log's checkpoints.
 *
 *     models.acme.example/log+a1b2c3d4+AfWr…=
 *     name                   +key id  +base64(type || public key)
 *
 * The key id is the first four bytes of SHA-256(name || 0x0A || type || public key). Types: 0x01 Ed25519, 0x04 Ed25519
 * cosignature, 0x06 ML-DSA-44 cosignature (c2sp.org/tlog-cosignature).
 */
import { sha256 } from "@noble/hashes/sha2.js"
import { ed25519Fault } from "./ed25519.ts"
import { decodeBase64, encodeBase64, encodeHex, encodeUtf8 } from "./encoding.ts"

export const ed25519Type = 0x01
export const ed25519CosignatureType = 0x04
export const mldsa44CosignatureType = 0x06

const publicKeySizes = new Map([
  [ed25519Type, 32],
  [ed25519CosignatureType, 32],
  [mldsa44CosignatureType, 1312],
])

export interface VerifierKey {
  readonly name: string
  /** Eight lower-case hexadecimal digits. */
  readonly id: string
  /** 0x01, 0x04 or 0x06. A log signs with 0x01 or 0x06, a witness cosigns with 0x04 or 0x06. */
  readonly type: number
  /** 32 bytes for Ed25519, an encoded point (whether it is a good one is for the verifier to judge); 1312 for ML-DSA-44. */
  readonly publicKey: Uint8Array
}

/** `name` must be a key name and `publicKey` as long as the type's keys are. Throws a RangeError otherwise. */
export function formatVkey(name: string, publicKey: Uint8Array, type: number = ed25519Type): string {
  if (!isKeyName(name) || publicKey.length !== publicKeySizes.get(type)) {
    throw new RangeError("not a note key name and a public key of that type")
  }
  return `${name}+${keyId(name, type, publicKey)}+${encodeBase64(Uint8Array.of(type, ...publicKey))}`
}

/** `null` unless `text` is the one spelling of a verifier key of a known type. */
export function parseVkey(text: string): VerifierKey | null {
  const [name = "", id = "", key = ""] = splitVkey(text)
  const bytes = decodeBase64(key)
  const type = bytes?.[0] ?? 0
  if (!isKeyName(name) || bytes === null || bytes.length - 1 !== publicKeySizes.get(type)) return null
  const publicKey = bytes.subarray(1)
  return id === keyId(name, type, publicKey) ? { name, id, type, publicKey } : null
}

// The check of a key costs as much as a signature's, and a process meets the same few keys again and again.
const sound = new Set<string>()

/** What is wrong with the public key, as the end of a sentence about it; `null` for one that may be relied on. */
export function vkeyFault({ type, publicKey }: VerifierKey): string | null {
  const text = encodeHex(publicKey)
  if (type === mldsa44CosignatureType || sound.has(text)) return null
  const fault = ed25519Fault(publicKey)
  if (fault === null && sound.size < 1024) sound.add(text)
  return fault
}

/** Not empty, no white space as Unicode has it, no plus sign, no control character, well-formed. */
export function isKeyName(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what a note must not hold
  return text.isWellFormed() && /^[^\p{White_Space}\u0000-\u001f+]+$/u.test(text)
}

// Base64 may hold "+" too, so only the first two separate.
function splitVkey(text: string): string[] {
  const first = text.indexOf("+")
  const second = text.indexOf("+", first + 1)
  return first < 0 || second < 0 ? [] : [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)]
}

function keyId(name: string, type: number, publicKey: Uint8Array): string {
  const head = encodeUtf8(`${name}\n`)
  const material = new Uint8Array(head.length + 1 + publicKey.length)
  material.set(head)
  material[head.length] = type
  material.set(publicKey, head.length + 1)
  return encodeHex(sha256(material).subarray(0, 4))
}
