/** What a registry asks of an envelope before it puts it in order. */
import { isSha256Hex } from "./encoding.ts"
import { type Envelope, readEnvelope } from "./envelope.ts"
import { ManifestError } from "./errors.ts"
import { type JsonValue, parseJson } from "./json.ts"
import type { TrustChain } from "./trust-chain.ts"
import type { Verifiers } from "./verifiers.ts"
import { openWith, type SignedManifest } from "./verify.ts"

export interface PublishRequest {
  readonly envelope: Envelope
  readonly trustChain: TrustChain
  /** As the request's address names it. */
  readonly model: string
  readonly now: Date
  /** A publisher asks `every`; a registry, whose keys passed enrolment and who loads nothing, `native`. */
  readonly verifiers: Verifiers
}

/**
 * As `parseEnvelope`, for whoever takes envelopes from anybody: that none of its signers is known is said before anything
 * else is wrong with it. Throws SIGNER_UNTRUSTED, and what `parseEnvelope` throws.
 */
export function parsePublish(bytes: Uint8Array, { current: { keys } }: TrustChain): Envelope {
  const value = parseJson(bytes, "the envelope")
  const claimed = keyidsOf(value)
  if (claimed !== null && !claimed.some((keyid) => keys.has(keyid)))
    throw stranger(claimed.find((keyid) => keyid !== "") ?? "")
  return readEnvelope(value)
}

/** Of a list of signatures, whatever is in it; `null` where there is none. */
function keyidsOf(value: JsonValue): readonly string[] | null {
  const list = memberOf(value, "signatures")
  if (!Array.isArray(list) || list.length === 0) return null
  return list.map((item) => {
    const keyid = memberOf(item, "keyid")
    return typeof keyid === "string" && isSha256Hex(keyid) ? keyid : ""
  })
}

function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value[name] : undefined
}

function stranger(keyid: string): ManifestError {
  const what = keyid === "" ? "no signature names a key of the trust root" : `the key ${keyid} is not in the trust root`
  return new ManifestError("SIGNER_UNTRUSTED", what, {
    hint: "weighlock trust show lists the keys that are",
  })
}

/**
 * May this envelope become a version of that model? Stricter than reading: a signature by a key nobody trusts is refused
 * (SIGNER_UNTRUSTED), so nothing unexplained enters the history.
 */
export function admitPublish(request: PublishRequest): SignedManifest {
  const { envelope, trustChain, model, now, verifiers } = request
  const unknown = envelope.signatures.find(({ keyid }) => !trustChain.current.keys.has(keyid))
  if (unknown !== undefined) throw stranger(unknown.keyid)
  const manifest = openWith(verifiers, envelope, trustChain, now)
  if (manifest.model !== model) {
    throw new ManifestError("SUBJECT_MISMATCH", `signed as ${manifest.model}@${manifest.version}, sent as ${model}`)
  }
  return manifest
}
