/**
 * Signature verification by two implementations that must agree: @noble everywhere, node:crypto as well where it exists.
 *
 * Alone each takes keys the other refuses (noble strict: mixed order; OpenSSL: small order); enrolment refuses both kinds.
 * In a browser the enrolment check and noble decide.
 */
import { hashes, Point, verify as nobleVerify } from "@noble/ed25519"
import { p256 } from "@noble/curves/nist.js"
import { sha512 } from "@noble/hashes/sha2.js"

// Module state of @noble/ed25519: with another hash function in it every forgery would pass, so it is set once and frozen.
if (!Object.isFrozen(hashes)) {
  hashes.sha512 = sha512
  Object.freeze(hashes)
}

interface NodeCrypto {
  createPublicKey(key: { key: Uint8Array; format: "der"; type: "spki" }): object
  verify(algorithm: string | null, data: Uint8Array, key: object, signature: Uint8Array): boolean
}
interface MaybeNode {
  readonly process?: { readonly getBuiltinModule?: (id: string) => unknown }
}
const nodeCrypto = (globalThis as MaybeNode).process?.getBuiltinModule?.("node:crypto") as NodeCrypto | undefined

/** RFC 8032 pure Ed25519, strict (no ZIP 215), for a key that passed enrolment. */
export function verifyEd25519(
  point: Uint8Array,
  spki: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
): boolean {
  if (signature.length !== 64) return false
  return verifyEd25519WithNode(spki, signature, message) !== false && verifyEd25519WithNoble(point, signature, message)
}

export function verifyEd25519WithNoble(point: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean {
  try {
    // Noble clears the cofactor, OpenSSL does not: they differ only about an R that is not in the prime-order group, and
    // no honest signer makes one.
    if (!Point.fromBytes(Uint8Array.from(signature.subarray(0, 32)), false).isTorsionFree()) return false
    return nobleVerify(Uint8Array.from(signature), Uint8Array.from(message), Uint8Array.from(point), { zip215: false })
  } catch {
    return false
  }
}

/** `null` where there is no node:crypto. */
export function verifyEd25519WithNode(spki: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean | null {
  return verifyWithNode(null, spki, signature, message)
}

/** ECDSA P-256 with SHA-256 over `message`; `signature` is DER. `point` has 65 bytes. */
export function verifyEcdsaP256(
  point: Uint8Array,
  spki: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
): boolean {
  if (verifyWithNode("sha256", spki, signature, message) === false) return false
  try {
    return p256.verify(signature, message, point, { format: "der", prehash: true, lowS: false })
  } catch {
    return false
  }
}

function verifyWithNode(
  algorithm: string | null,
  spki: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
): boolean | null {
  if (nodeCrypto === undefined) return null
  try {
    return nodeCrypto.verify(
      algorithm,
      message,
      nodeCrypto.createPublicKey({ key: spki, format: "der", type: "spki" }),
      signature,
    )
  } catch {
    return false
  }
}
