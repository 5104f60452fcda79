/**
 * The security decision. `verify` is the one function that CLI, registry, runtime and auditor trust; it does no I/O and
 * has no clock of its own, and its result is the only key to a loader.
 *
 * The log is not there yet: `seen` and `consistency` are typed and required, a bundle that claims a proof is refused
 * because nothing here could check it, and the next version will refuse every bundle without one.
 */
import type { Checkpoint } from "@weighlock/tlog"
import type { Bundle } from "./bundle.ts"
import { checkSignatures, type Envelope } from "./envelope.ts"
import { ManifestError } from "./errors.ts"
import { formatReference, type Reference } from "./reference.ts"
import { formatTime } from "./time.ts"
import { type Manifest, parseStatement, statementPayloadType } from "./statement.ts"
import { namespaceOf, type TrustRoot } from "./trust.ts"
import { countDistinct, publicKeys, type TrustChain } from "./trust-chain.ts"

declare const signed: unique symbol
declare const verified: unique symbol

/** Its payload was signed by enough distinct trusted keys; not yet what anyone asked for, and not logged. */
export interface SignedManifest extends Manifest {
  readonly [signed]: true
  /** Keyids that counted, sorted. */
  readonly signers: readonly string[]
}

/** What was asked for, by whom trust says it may be published. Made only by `verify`. */
export interface VerifiedManifest extends SignedManifest {
  readonly [verified]: true
}

export interface VerifyRequest {
  readonly reference: Reference
  readonly bundle: Bundle
  readonly trustChain: TrustChain
  /** The last checkpoint verified of this log; at first contact its empty one. */
  readonly seen: Checkpoint
  /** Hashes (32 bytes each) that prove the log only grew since `seen`. */
  readonly consistency: readonly Uint8Array[]
  readonly now: Date
}

/**
 * Throws LOG_INVALID, TRUST_EXPIRED, UNSIGNED, SIGNATURE_INVALID, SIGNER_UNTRUSTED, MANIFEST_INVALID, SUBJECT_MISMATCH or
 * NEEDS_LOG; returns only what is verified.
 */
export function verify(request: VerifyRequest): VerifiedManifest {
  const { reference, bundle, trustChain, seen, consistency, now } = request
  requireNoLog(bundle, trustChain, seen, consistency)
  const manifest = openPublished(bundle.envelope, trustChain, now) // only signed bytes are ever parsed
  requireSubject(manifest, reference) // it is what was asked for
  return manifest as VerifiedManifest // the single place where this type is made
}

/** Enough distinct trusted keys over the exact bytes, for the namespace those bytes name. */
export function openPublished(envelope: Envelope, trustChain: TrustChain, now: Date): SignedManifest {
  const trust = trustInForce(trustChain, now)
  const valid = [...checkSignatures(envelope, statementPayloadType, publicKeys(trust))].filter((keyid) =>
    counts(trust, keyid),
  )
  if (valid.length === 0) throw untrusted("no key that the trust root lists has signed this manifest")
  const manifest = parseStatement(envelope.payload)
  if (manifest.registry !== trust.registry)
    throw mismatch(`signed for the registry ${manifest.registry}, trusted is ${trust.registry}`)
  const signers = requireThreshold(trust, manifest.model, valid)
  return { ...manifest, signers } as unknown as SignedManifest
}

function trustInForce({ current }: TrustChain, now: Date): TrustRoot {
  if (current.expires.getTime() > now.getTime()) return current
  throw new ManifestError(
    "TRUST_EXPIRED",
    `the trust root of ${current.registry} expired at ${formatTime(current.expires)}`,
    {
      hint: "get the next version from whoever keeps its root keys",
    },
  )
}

// Whether a retired key signed before it retired is for the log to say; without one it does not count.
function counts(trust: TrustRoot, keyid: string): boolean {
  const trusted = trust.keys.get(keyid)
  return trusted !== undefined && trusted.compromised === undefined && trusted.retiredAt === undefined
}

function requireThreshold(trust: TrustRoot, model: string, valid: readonly string[]): readonly string[] {
  const namespace = namespaceOf(trust, model)
  if (namespace === null) throw untrusted(`no namespace of the trust root covers ${model}, so no one may publish it`)
  const { publish } = namespace
  const count = countDistinct(publish, valid)
  if (count < publish.threshold) {
    throw untrusted(
      `${model} needs ${publish.threshold} publisher signature(s) of ${namespace.pattern}, this manifest has ${count}`,
    )
  }
  return valid.filter((keyid) => publish.keys.includes(keyid))
}

function requireSubject(manifest: Manifest, reference: Reference): void {
  const { model, selector } = reference
  if (selector.by === "alias" || selector.by === "range") {
    throw new ManifestError("NEEDS_LOG", `${formatReference(reference)} can only be resolved by the log`)
  }
  const [wanted, found] =
    selector.by === "version" ? [selector.version, manifest.version] : [selector.digest, manifest.digest]
  if (manifest.model !== model || wanted !== found) {
    throw mismatch(
      `asked for ${formatReference(reference)}, validly signed is ${manifest.model}@${manifest.version} (sha256:${manifest.digest})`,
    )
  }
}

function requireNoLog(
  bundle: Bundle,
  trustChain: TrustChain,
  seen: Checkpoint,
  consistency: readonly Uint8Array[],
): void {
  const knowsALog = seen.origin !== trustChain.current.log.origin || seen.size !== 0 || consistency.length > 0
  if (knowsALog || bundle.entry !== undefined || bundle.proof !== undefined) {
    throw new ManifestError(
      "LOG_INVALID",
      "the bundle or the caller speaks of a log, and this version cannot check one",
      {
        hint: "use a newer weighlock",
      },
    )
  }
}

function untrusted(message: string): ManifestError {
  return new ManifestError("SIGNER_UNTRUSTED", message, { hint: "weighlock trust show lists who may do what" })
}

function mismatch(message: string): ManifestError {
  return new ManifestError("SUBJECT_MISMATCH", message, {
    hint: "it is signed, but it is not what was asked for: ask the publisher, and whoever runs the registry",
  })
}
