/**
 * Who checks signatures. `every`: all implementations that run here must agree, as wherever something is about to be
 * loaded. `native`: node:crypto alone, ten times as fast, for many entries under keys that passed enrolment; where there
 * is no node:crypto it is the same as `every`. There is no third.
 */
import { type PublicKey, verifySignature } from "./keys.ts"

export type Verifiers = "every" | "native"

interface NodeCrypto {
  createPublicKey(key: { key: Uint8Array; format: "der"; type: "spki" }): object
  verify(algorithm: string | null, data: Uint8Array, key: object, signature: Uint8Array): boolean
}
interface MaybeNode {
  readonly process?: { readonly getBuiltinModule?: (id: string) => unknown }
}
const nodeCrypto = (globalThis as MaybeNode).process?.getBuiltinModule?.("node:crypto") as NodeCrypto | undefined

/** Never throws for a bad signature. */
export function verifyWith(verifiers: Verifiers, key: PublicKey, signature: Uint8Array, message: Uint8Array): boolean {
  if (verifiers === "every" || nodeCrypto === undefined) return verifySignature(key, signature, message)
  if (key.type === "ed25519" && signature.length !== 64) return false
  try {
    return nodeCrypto.verify(key.type === "ed25519" ? null : "sha256", message, keyObject(nodeCrypto, key), signature)
  } catch {
    return false
  }
}

// Parsing a key costs a third of a verification, and an audit has few keys.
const keyObjects = new WeakMap<PublicKey, object>()

function keyObject(crypto: NodeCrypto, key: PublicKey): object {
  const known = keyObjects.get(key)
  if (known !== undefined) return known
  const made = crypto.createPublicKey({ key: key.spki, format: "der", type: "spki" })
  keyObjects.set(key, made)
  return made
}
