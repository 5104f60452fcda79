/**
 * Signatures by a signer who adds a point of small order to R. Whether one holds depends on the cofactor, which RFC 8032
 * leaves open.
 */
import { createHash } from "node:crypto"
import { Point } from "@noble/ed25519"

const order = 2n ** 252n + 27742317777372353535851937790883648493n
const [secret, nonce] = [123_456_789n, 987_654_321n]

/** The 32 bytes of the key that signs here. */
export const mixedOrderKey: Uint8Array = Point.BASE.multiply(secret).toBytes()

function fromLittleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) + BigInt(byte), 0n)
}

function toLittleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, at) => Number((value >> BigInt(8 * at)) & 255n))
}

export function signatureWith(extra: Point, message: Uint8Array): Uint8Array {
  const R = Point.BASE.multiply(nonce).add(extra).toBytes()
  const hash = createHash("sha512").update(R).update(mixedOrderKey).update(message).digest()
  const k = fromLittleEndian(hash) % order
  return Uint8Array.from([...R, ...toLittleEndian((nonce + k * secret) % order)])
}

// A point of order 8 (RFC 8032's curve has 8 of small order); its multiples are the others.
export const eighth: Point = Point.fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
