/**
 * Ed25519 by two implementations that must agree: @noble everywhere, node:crypto as well where it exists.
 *
 * Alone each takes keys the other refuses (noble strict: mixed order; OpenSSL: small order); `ed25519Fault` refuses both
 * kinds, and every key passes it once before it counts. In a browser that check and noble decide.
 */
import { hashes, Point, verify as nobleVerify } from "@noble/ed25519"
import { sha512 } from "@noble/hashes/sha2.js"
import { nodeCrypto } from "./node-crypto.ts"

// Module state of @noble/ed25519: with another hash function in it every forgery would pass, so it is set once and frozen.
if (!Object.isFrozen(hashes)) {
  hashes.sha512 = sha512
  Object.freeze(hashes)
}

/** A SubjectPublicKeyInfo is this and the 32-byte point (RFC 8410). */
export const ed25519SpkiPrefix: Uint8Array = Uint8Array.from([
  0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
])

/** Keys without fault, by their bytes: the same few stand in every trust root that is parsed, and a check takes milliseconds. */
const faultless = new Set<string>()
const maxFaultless = 256

/** What is wrong with a public key, as the end of a sentence about it; `null` for a key that may be enrolled. */
export function ed25519Fault(point: Uint8Array): string | null {
  if (point.length !== 32) return "does not have 32 bytes"
  const bytes = String.fromCharCode(...point)
  if (faultless.has(bytes)) return null
  const fault = findFault(point)
  if (fault === null) {
    if (faultless.size >= maxFaultless) faultless.clear()
    faultless.add(bytes)
  }
  return fault
}

function findFault(point: Uint8Array): string | null {
  try {
    const decoded = Point.fromBytes(Uint8Array.from(point), false) // false: RFC 8032 canonical encodings only
    if (decoded.isSmallOrder()) return "is of small order: one signature would verify for many messages"
    if (!decoded.isTorsionFree()) return "is of mixed order: verifiers disagree about its signatures"
    return null
  } catch {
    return "is not a canonical point of the curve (RFC 8032)"
  }
}

export function ed25519Spki(point: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(...ed25519SpkiPrefix, ...point)
}

/** RFC 8032 pure Ed25519, strict (no ZIP 215), for a key without fault. Never throws. */
export function verifyEd25519(point: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean {
  if (signature.length !== 64) return false
  const byNode = verifyEd25519WithNode(ed25519Spki(point), signature, message)
  if (byNode === null) return verifyEd25519WithNoble(point, signature, message)
  // OpenSSL compares R with [S]B - [k]A, which lies in the prime-order group for a key without fault: R does, too.
  return byNode && verifyCleared(point, signature, message)
}

export function verifyEd25519WithNoble(point: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean {
  try {
    // Noble clears the cofactor, OpenSSL does not: they differ only about an R that is not in the prime-order group, and
    // no honest signer makes one.
    if (!Point.fromBytes(Uint8Array.from(signature.subarray(0, 32)), false).isTorsionFree()) return false
  } catch {
    return false
  }
  return verifyCleared(point, signature, message)
}

/** With the cofactor cleared, as noble does it: a point of small order that is added to R goes unseen. */
function verifyCleared(point: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean {
  try {
    return nobleVerify(Uint8Array.from(signature), Uint8Array.from(message), Uint8Array.from(point), { zip215: false })
  } catch {
    return false
  }
}

/** `null` where there is no node:crypto. */
export function verifyEd25519WithNode(spki: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean | null {
  if (nodeCrypto === null) return null
  try {
    const key = nodeCrypto.createPublicKey({ key: spki, format: "der", type: "spki" })
    return nodeCrypto.verify(null, message, key, signature)
  } catch {
    return false
  }
}
