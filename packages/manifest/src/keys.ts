/**
 * Public keys, enrolled once and then trusted by their id.
 *
 *     -----BEGIN PUBLIC KEY-----
 *     MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
 *     -----END PUBLIC KEY-----
 *
 * The keyid is SHA-256 over that text (LF, 64 columns, final LF): the hint of a Sigstore bundle.
 */
import { p256 } from "@noble/curves/nist.js"
import { ed25519Fault, ed25519Spki, ed25519SpkiPrefix } from "@weighlock/tlog"
import { encodeBase64, encodeHex, encodeUtf8, sha256Hex } from "./encoding.ts"
import { ManifestError } from "./errors.ts"
import { verifyEcdsaP256, verifyEd25519 } from "./signature.ts"

export type KeyType = "ed25519" | "ecdsa-p256"

declare const enrolled: unique symbol

/** A public key that passed enrolment: canonical, on the curve, and not of small or mixed order. Made only here. */
export interface PublicKey {
  readonly [enrolled]: true
  /** 64 hex digits. */
  readonly keyid: string
  readonly type: KeyType
  /** Ed25519: the 32-byte point. P-256: the 91-byte SPKI. The form the trust root holds. */
  readonly bytes: Uint8Array
  readonly spki: Uint8Array
}

const p256Prefix = Uint8Array.from(
  [
    [0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
    [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00],
  ].flat(),
)

/** `bytes` as the trust root holds them. Throws KEY_WEAK for a key under which someone else's signature may verify. */
export function enrolKey(type: KeyType, bytes: Uint8Array): PublicKey {
  const fault = type === "ed25519" ? ed25519Fault(bytes) : p256Fault(bytes)
  if (fault !== null)
    throw new ManifestError("KEY_WEAK", `the ${type} public key ${encodeHex(bytes.subarray(0, 32))} ${fault}`)
  const own = Uint8Array.from(bytes)
  const spki = type === "ed25519" ? ed25519Spki(own) : own
  return { keyid: keyidOf(spki), type, bytes: own, spki } as PublicKey
}

/** Any SPKI of the two key types we know. Throws KEY_WEAK. */
export function enrolSpki(spki: Uint8Array): PublicKey {
  if (startsWith(spki, ed25519SpkiPrefix)) return enrolKey("ed25519", spki.subarray(ed25519SpkiPrefix.length))
  return enrolKey("ecdsa-p256", spki)
}

export function formatPem(label: string, der: Uint8Array): string {
  const lines = encodeBase64(der).match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`
}

export function publicKeyPem(key: PublicKey): string {
  return formatPem("PUBLIC KEY", key.spki)
}

/** `true` only if every verifier that runs here says so. Never throws for a bad signature. */
export function verifySignature(key: PublicKey, signature: Uint8Array, message: Uint8Array): boolean {
  return key.type === "ed25519"
    ? verifyEd25519(key.bytes, signature, message)
    : verifyEcdsaP256(key.spki.subarray(p256Prefix.length), key.spki, signature, message)
}

function keyidOf(spki: Uint8Array): string {
  return sha256Hex(encodeUtf8(formatPem("PUBLIC KEY", spki)))
}

function p256Fault(spki: Uint8Array): string | null {
  if (spki.length !== p256Prefix.length + 65 || !startsWith(spki, p256Prefix))
    return "is not a SubjectPublicKeyInfo of an uncompressed P-256 point"
  try {
    p256.Point.fromBytes(Uint8Array.from(spki.subarray(p256Prefix.length))).assertValidity()
    return null
  } catch {
    return "is not a point of the curve"
  }
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return prefix.every((byte, at) => bytes[at] === byte)
}
