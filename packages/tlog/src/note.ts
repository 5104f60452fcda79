/**
 * Verifier keys of signed notes (c2sp.org/signed-note): who may sign the log's checkpoints.
 *
 *     models.acme.example/log+a1b2c3d4+AfWr…=
 *     name                   +key id  +base64(0x01 || 32-byte Ed25519 public key)
 *
 * The key id is the first four bytes of SHA-256(name || 0x0A || 0x01 || public key).
 */
import { sha256 } from "@noble/hashes/sha2.js"
import { decodeBase64, encodeBase64, encodeHex, encodeUtf8 } from "./encoding.ts"

/** The signature type byte of Ed25519 note keys. */
const ed25519Type = 0x01

export interface VerifierKey {
  readonly name: string
  /** Eight lower-case hexadecimal digits. */
  readonly id: string
  /** 32 bytes, an encoded Ed25519 point; whether it is a good one is for the verifier to judge. */
  readonly publicKey: Uint8Array
}

/** `name` must not hold white space or `+`; `publicKey` has 32 bytes. Throws a RangeError otherwise. */
export function formatVkey(name: string, publicKey: Uint8Array): string {
  if (!/^[^\s+]+$/u.test(name) || publicKey.length !== 32) throw new RangeError("not a note key name and 32-byte key")
  return `${name}+${keyId(name, publicKey)}+${encodeBase64(Uint8Array.of(ed25519Type, ...publicKey))}`
}

/** `null` unless `text` is the one spelling of an Ed25519 verifier key. */
export function parseVkey(text: string): VerifierKey | null {
  const [name = "", id = "", key = "", ...more] = splitVkey(text)
  const bytes = decodeBase64(key)
  if (more.length > 0 || bytes?.length !== 33 || bytes[0] !== ed25519Type) return null
  const publicKey = bytes.subarray(1)
  if (!/^[^\s+]+$/u.test(name) || id !== keyId(name, publicKey)) return null
  return { name, id, publicKey }
}

// Base64 may hold "+" too, so only the first two separate.
function splitVkey(text: string): string[] {
  const first = text.indexOf("+")
  const second = text.indexOf("+", first + 1)
  return first < 0 || second < 0 ? [] : [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)]
}

function keyId(name: string, publicKey: Uint8Array): string {
  const material = [...encodeUtf8(name), 0x0a, ed25519Type, ...publicKey]
  return encodeHex(sha256(Uint8Array.from(material)).subarray(0, 4))
}
