/** What a registry asks of an envelope before it puts it in order. */
import type { Envelope } from "./envelope.ts"
import { ManifestError } from "./errors.ts"
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
 * May this envelope become a version of that model? Stricter than reading: a signature by a key nobody trusts is refused
 * (SIGNER_UNTRUSTED), so nothing unexplained enters the history.
 */
export function admitPublish(request: PublishRequest): SignedManifest {
  const { envelope, trustChain, model, now, verifiers } = request
  const stranger = envelope.signatures.find(({ keyid }) => !trustChain.current.keys.has(keyid))
  if (stranger !== undefined) {
    throw new ManifestError("SIGNER_UNTRUSTED", `the key ${stranger.keyid} is not in the trust root`, {
      hint: "weighlock trust show lists the keys that are",
    })
  }
  const manifest = openWith(verifiers, envelope, trustChain, now)
  if (manifest.model !== model) {
    throw new ManifestError("SUBJECT_MISMATCH", `signed as ${manifest.model}@${manifest.version}, sent as ${model}`)
  }
  return manifest
}
