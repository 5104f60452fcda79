/**
 * Signature verification by two implementations that must agree: @noble everywhere, node:crypto as well where it exists.
 * Ed25519 is the log's too, so @weighlock/tlog has the pair; P-256 is here.
 */
import { p256 } from "@noble/curves/nist.js"

export { verifyEd25519, verifyEd25519WithNoble, verifyEd25519WithNode } from "@weighlock/tlog"

interface NodeCrypto {
  createPublicKey(key: { key: Uint8Array; format: "der"; type: "spki" }): object
  verify(algorithm: string | null, data: Uint8Array, key: object, signature: Uint8Array): boolean
}
interface MaybeNode {
  readonly process?: { readonly getBuiltinModule?: (id: string) => unknown }
}
const nodeCrypto = (globalThis as MaybeNode).process?.getBuiltinModule?.("node:crypto") as NodeCrypto | undefined

/** ECDSA P-256 with SHA-256 over `message`; `signature` is DER. `point` has 65 bytes. */
export function verifyEcdsaP256(
  point: Uint8Array,
  spki: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
): boolean {
  if (verifyP256WithNode(spki, signature, message) === false) return false
  try {
    return p256.verify(signature, message, point, { format: "der", prehash: true, lowS: false })
  } catch {
    return false
  }
}

function verifyP256WithNode(spki: Uint8Array, signature: Uint8Array, message: Uint8Array): boolean | null {
  if (nodeCrypto === undefined) return null
  try {
    const key = nodeCrypto.createPublicKey({ key: spki, format: "der", type: "spki" })
    return nodeCrypto.verify("sha256", message, key, signature)
  } catch {
    return false
  }
}
