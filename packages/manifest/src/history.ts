/**
 * The rules of the registry's history, pure: the registry decides with them, an auditor will replay with them.
 */
import type { Envelope } from "./envelope.ts"
import { ManifestError } from "./errors.ts"
import type { Manifest } from "./statement.ts"
import type { TrustChain } from "./trust-chain.ts"
import { openPublished, type SignedManifest } from "./verify.ts"

export interface PublishRequest {
  readonly envelope: Envelope
  readonly trustChain: TrustChain
  /** As the request's address names it. */
  readonly model: string
  readonly now: Date
}

/**
 * May this envelope become a version of that model? Stricter than reading: a signature by a key nobody trusts is refused
 * (SIGNER_UNTRUSTED), so nothing unexplained enters the history.
 */
export function admitPublish(request: PublishRequest): SignedManifest {
  const { envelope, trustChain, model, now } = request
  const stranger = envelope.signatures.find(({ keyid }) => !trustChain.current.keys.has(keyid))
  if (stranger !== undefined) {
    throw new ManifestError("SIGNER_UNTRUSTED", `the key ${stranger.keyid} is not in the trust root`, {
      hint: "weighlock trust show lists the keys that are",
    })
  }
  const manifest = openPublished(envelope, trustChain, now)
  if (manifest.model !== model) {
    throw new ManifestError("SUBJECT_MISMATCH", `signed as ${manifest.model}@${manifest.version}, sent as ${model}`)
  }
  return manifest
}

/** A (model, version) binds one manifest for ever: the same again is fine, another is VERSION_EXISTS. */
export function judgePublish(
  first: { readonly digest: string } | null,
  candidate: Pick<Manifest, "digest" | "model" | "version">,
): "new" | "same" {
  if (first === null) return "new"
  if (first.digest === candidate.digest) return "same"
  throw new ManifestError(
    "VERSION_EXISTS",
    `${candidate.model}@${candidate.version} is already sha256:${first.digest}`,
    {
      hint: "a version binds one manifest for ever: publish under the next version",
    },
  )
}
