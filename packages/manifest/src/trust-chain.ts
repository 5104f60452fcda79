/**
 * Trust roots as a consumer holds them: every version from the pinned first one on, each verified.
 * This version of the product knows first versions only; successors are judged by the log that records them.
 */
import { sha256Hex } from "./encoding.ts"
import { checkSignatures, type Envelope, formatEnvelope, parseEnvelope } from "./envelope.ts"
import { invalid, ManifestError } from "./errors.ts"
import { parseTrustRoot, type Role, type TrustRoot, trustRootPayloadType } from "./trust.ts"
import type { PublicKey } from "./keys.ts"

declare const opened: unique symbol

/** Verified from version 1 to `current`. Made only by `openTrustChain`. */
export interface TrustChain {
  readonly [opened]: true
  readonly roots: readonly TrustRoot[]
  readonly current: TrustRoot
  /** The exact envelopes, canonical JSON. */
  readonly envelopes: readonly Uint8Array[]
}

/** Anyone who holds the file pins it by holding it; anyone who fetched it gives the digest that he pinned. */
export type Pin = { readonly by: "file" } | { readonly by: "digest"; readonly digest: string }

/** Throws TRUST_PIN_MISMATCH, SIGNER_UNTRUSTED, SIGNATURE_INVALID, MANIFEST_INVALID or KEY_WEAK. */
export function openTrustChain(envelopes: readonly Uint8Array[], pin: Pin): TrustChain {
  const [first, ...more] = envelopes.map(parseEnvelope)
  if (first === undefined) throw invalid("there is no trust root")
  if (more.length > 0)
    throw invalid("successors of a trust root need the transparency log, which this version does not have yet")
  if (pin.by === "digest") requirePinned(first, pin.digest)
  const root = openFirst(first)
  return { roots: [root], current: root, envelopes: [formatEnvelope(first)] } as unknown as TrustChain
}

/** Before anything in it is read: whoever was asked may have made it, and to check its keys takes time. */
function requirePinned({ payload }: Envelope, pinned: string): void {
  const digest = sha256Hex(payload)
  if (digest === pinned) return
  throw new ManifestError("TRUST_PIN_MISMATCH", `the trust root is sha256:${digest}, pinned is sha256:${pinned}`, {
    hint: "ask whoever gave you the pin; do not replace it by what the registry says",
  })
}

/** How many distinct root keys have signed and how many must, for someone who collects signatures. */
export function rootSignatures(envelope: Envelope): { readonly trust: TrustRoot; readonly signed: number } {
  const trust = parseTrustRoot(envelope.payload)
  const valid = checkSignatures(envelope, trustRootPayloadType, publicKeys(trust), "every")
  return { trust, signed: countDistinct(trust.root, valid) }
}

function openFirst(envelope: Envelope): TrustRoot {
  const { trust, signed } = rootSignatures(envelope)
  if (trust.version !== 1) throw invalid(`a chain begins with version 1, this is version ${trust.version}`)
  if (signed < trust.root.threshold) {
    throw new ManifestError(
      "SIGNER_UNTRUSTED",
      `the trust root carries ${signed} of the ${trust.root.threshold} signatures of its root role`,
      {
        hint: "collect the others with: weighlock trust sign FILE --key LABEL",
      },
    )
  }
  return trust
}

export function publicKeys(trust: TrustRoot): ReadonlyMap<string, PublicKey> {
  return new Map([...trust.keys].map(([keyid, { key }]) => [keyid, key]))
}

/** A keyid is a digest of the public key, so distinct keyids are distinct keys. */
export function countDistinct(role: Role, keyids: Iterable<string>): number {
  return new Set([...keyids].filter((keyid) => role.keys.includes(keyid))).size
}
