/**
 * ML-DSA-44 (FIPS 204), the signature of type 0x06 cosignatures: node:crypto where it knows the algorithm (Node 24.7 and
 * newer), and the optional package @noble/post-quantum once `loadMldsa44` has found it. Where both are there both must
 * agree; where neither is, such a signature can't be judged and does not count.
 */
import { nodeCrypto } from "./node-crypto.ts"

interface Mldsa44 {
  verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
}

// SubjectPublicKeyInfo up to the 1312-byte key (RFC 9881).
const spkiPrefix = Uint8Array.from(
  [
    [0x30, 0x82, 0x05, 0x32, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48],
    [0x01, 0x65, 0x03, 0x04, 0x03, 0x11, 0x03, 0x82, 0x05, 0x21, 0x00],
  ].flat(),
)
const known = nodeKnows()
let noble: Mldsa44 | null = null

/**
 * Looks for @noble/post-quantum, which nothing requires. `true` when ML-DSA-44 can be judged here afterwards. Only a
 * browser and Node before 24.7 need the call.
 */
export async function loadMldsa44(): Promise<boolean> {
  // A name that bundlers do not follow: the package may be absent.
  const name: string = "@noble/post-quantum/ml-dsa.js"
  try {
    noble ??= ((await import(name)) as { ml_dsa44: Mldsa44 }).ml_dsa44
  } catch {
    // absent: node:crypto, or nothing
  }
  return canVerifyMldsa44()
}

export function canVerifyMldsa44(): boolean {
  return known || noble !== null
}

/** `false` where no implementation is there too: ask `canVerifyMldsa44` first. Never throws. */
export function verifyMldsa44(publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean {
  if (!canVerifyMldsa44() || signature.length !== 2420 || publicKey.length !== 1312) return false
  return (
    verifyMldsa44WithNode(publicKey, signature, message) !== false &&
    verifyMldsa44WithNoble(publicKey, signature, message) !== false
  )
}

/** `null` where node:crypto does not know the algorithm. */
export function verifyMldsa44WithNode(
  publicKey: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
): boolean | null {
  if (nodeCrypto === null || !known) return null
  try {
    return nodeCrypto.verify(null, message, nodeCrypto.createPublicKey(spkiOf(publicKey)), signature)
  } catch {
    return false
  }
}

/** `null` until `loadMldsa44` has found the package. */
export function verifyMldsa44WithNoble(
  publicKey: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
): boolean | null {
  if (noble === null) return null
  try {
    return noble.verify(signature, message, publicKey)
  } catch {
    return false
  }
}

function spkiOf(publicKey: Uint8Array): { key: Uint8Array; format: "der"; type: "spki" } {
  return { key: Uint8Array.of(...spkiPrefix, ...publicKey), format: "der", type: "spki" }
}

function nodeKnows(): boolean {
  try {
    return nodeCrypto !== null && nodeCrypto.createPublicKey(spkiOf(new Uint8Array(1312))) !== null
  } catch {
    return false
  }
}
