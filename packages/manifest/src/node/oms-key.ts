/**
 * The public keys of other tools' signatures, and the one hash that goes with each.
 *
 *     Ed25519    P-256 and SHA-256    P-384 and SHA-384    P-521 and SHA-512
 *
 * Given by the user as SPKI PEM, or taken from a certificate that was checked up to the user's roots.
 */
import { createPublicKey, type KeyObject, verify } from "node:crypto"
import { p256, p384, p521 } from "@noble/curves/nist.js"
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js"
import { enrolSpki, encodeUtf8, formatPem, ManifestError, sha256Hex, verifySignature } from "../index.ts"

export type OmsKeyType = "ed25519" | "ecdsa-p256" | "ecdsa-p384" | "ecdsa-p521"

declare const checked: unique symbol

/** A public key of a kind that is known here, on its curve and in its one encoding. */
export interface OmsKey {
  readonly [checked]: true
  readonly type: OmsKeyType
  /** SHA-256 of the SPKI PEM, hex: what bundles call the hint. */
  readonly keyid: string
  readonly spki: Uint8Array
}

const hashes = { sha256, sha384, sha512 } as const
const curves = {
  "ecdsa-p256": { name: "prime256v1", curve: p256, hash: "sha256", point: 65 },
  "ecdsa-p384": { name: "secp384r1", curve: p384, hash: "sha384", point: 97 },
  "ecdsa-p521": { name: "secp521r1", curve: p521, hash: "sha512", point: 133 },
} as const

/** One `PUBLIC KEY` block in PEM. Throws KEY_WEAK or USAGE. */
export function parseOmsKey(pem: string, what: string): OmsKey {
  const form = /^-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]{1,8192})-----END PUBLIC KEY-----$/
  if (pem.length > 16_384 || !form.test(pem.trim()))
    throw new ManifestError("USAGE", `${what} is not one public key in PEM`, {
      hint: "openssl pkey -in KEY.pem -pubout writes one",
    })
  return omsKey(readPem(pem, what), what)
}

function readPem(pem: string, what: string): KeyObject {
  try {
    return createPublicKey({ key: pem, format: "pem" })
  } catch (cause) {
    throw new ManifestError("KEY_WEAK", `${what} is not a public key`, { cause })
  }
}

/** Throws KEY_WEAK. */
export function omsKey(key: KeyObject, what: string): OmsKey {
  const spki = Uint8Array.from(key.export({ type: "spki", format: "der" }))
  const type = typeOf(key)
  if (type === null)
    throw new ManifestError("KEY_WEAK", `${what} is neither Ed25519 nor ECDSA on P-256, P-384 or P-521`)
  if (type === "ed25519" || type === "ecdsa-p256") enrolSpki(spki)
  else requirePoint(type, spki, what)
  return { type, keyid: sha256Hex(encodeUtf8(formatPem("PUBLIC KEY", spki))), spki } as OmsKey
}

function typeOf(key: KeyObject): OmsKeyType | null {
  if (key.asymmetricKeyType === "ed25519") return "ed25519"
  const named = key.asymmetricKeyType === "ec" ? key.asymmetricKeyDetails?.namedCurve : undefined
  const types = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521"] as const
  return types.find((type) => curves[type].name === named) ?? null
}

function requirePoint(type: keyof typeof curves, spki: Uint8Array, what: string): void {
  const { curve, point } = curves[type]
  try {
    curve.Point.fromBytes(spki.slice(-point)).assertValidity()
    if (spki.at(-point) !== 4) throw new RangeError("a compressed point")
  } catch (cause) {
    throw new ManifestError("KEY_WEAK", `${what} is not an uncompressed point of ${type}`, { cause })
  }
}

/** `true` only if node:crypto and noble both say so; the hash is the curve's. */
export function verifyOmsSignature(key: OmsKey, signature: Uint8Array, message: Uint8Array): boolean {
  if (key.type === "ed25519") return verifySignature(enrolSpki(key.spki), signature, message)
  return verifyEcdsa(key, signature, message, curves[key.type].hash)
}

/** As v0.2.0 signed: SHA-256 whatever the curve. */
export function verifyWithSha256(key: OmsKey, signature: Uint8Array, message: Uint8Array): boolean {
  return key.type !== "ed25519" && verifyEcdsa(key, signature, message, "sha256")
}

function verifyEcdsa(
  { type, spki }: OmsKey,
  signature: Uint8Array,
  message: Uint8Array,
  hash: "sha256" | "sha384" | "sha512",
): boolean {
  if (type === "ed25519") return false
  try {
    const { curve, point } = curves[type]
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" })
    if (!verify(hash, message, key, signature)) return false
    const digest = hashes[hash](message)
    return curve.verify(signature, digest, spki.slice(-point), { format: "der", prehash: false, lowS: false })
  } catch {
    return false
  }
}
