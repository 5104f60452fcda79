/**
 * The security decision. `verify` is the one function that CLI, registry, runtime and auditor trust; it does no I/O and
 * has no clock of its own, and its result is the only key to a loader.
 */
import type { Checkpoint, Hash } from "@weighlock/tlog"
import { counts, requirePublishers, trustInForce, untrusted } from "./authority.ts"
import type { Bundle } from "./bundle.ts"
import { checkSignatures, type Envelope } from "./envelope.ts"
import { ManifestError } from "./errors.ts"
import { type LoggedEntry, notLogged, openProof } from "./log-proof.ts"
import { requireFresh } from "./freshness.ts"
import { formatReference, type Reference } from "./reference.ts"
import { type Manifest, parseStatement, statementPayloadType } from "./statement.ts"
import { publicKeys, type TrustChain } from "./trust-chain.ts"
import type { Verifiers } from "./verifiers.ts"

declare const signed: unique symbol
declare const verified: unique symbol

/** Its payload was signed by enough distinct trusted keys; not yet what anyone asked for, and not logged. */
export interface SignedManifest extends Manifest {
  readonly [signed]: true
  /** Keyids that counted, sorted. */
  readonly signers: readonly string[]
}

/** What was asked for, by whom trust says it may be published, in a log that only grew. Made only by `verify`. */
export interface VerifiedManifest extends SignedManifest {
  readonly [verified]: true
  /** Of its entry in the log. */
  readonly index: number
  /** When the registry put it in order, by the registry's clock. */
  readonly loggedAt: Date
  /** The state of the log that holds it: to be kept, and given as `seen` next time if it is the larger. */
  readonly checkpoint: Checkpoint
  /** The signed note of `checkpoint`, exact. */
  readonly checkpointNote: string
  /** Enough witnesses saw that state then or later; `null` when the trust root asks for none. */
  readonly freshness: Date | null
}

export interface VerifyRequest {
  readonly reference: Reference
  readonly bundle: Bundle
  readonly trustChain: TrustChain
  /** The last checkpoint verified of this log; at first contact its empty one. */
  readonly seen: Checkpoint
  /** Proves that the smaller of `seen` and the bundle's checkpoint is a beginning of the larger; empty when one is empty or both are equal. */
  readonly consistency: readonly Hash[]
  /** Seconds; `null` asks for no freshness. */
  readonly maxStaleness: number | null
  readonly now: Date
}

/**
 * Throws LOG_INVALID, NOT_YET_WITNESSED, STALE, TRUST_EXPIRED, UNSIGNED, SIGNATURE_INVALID, SIGNER_UNTRUSTED,
 * MANIFEST_INVALID, TOO_LARGE, SUBJECT_MISMATCH or NEEDS_LOG; returns only what is verified.
 */
export function verify(request: VerifyRequest): VerifiedManifest {
  const { reference, bundle, trustChain, seen, consistency, maxStaleness, now } = request
  const logged = openProof(bundle, trustChain, seen, consistency) // included, witnessed, and the log only grew
  const manifest = openPublished(bundle.envelope, trustChain, now) // only signed bytes are ever parsed
  requireEntry(logged, bundle.envelope, manifest) // this entry is about these bytes and these signatures
  requireSubject(manifest, reference) // it is what was asked for
  requireFresh(logged.freshness, maxStaleness, now)
  return brand(manifest, logged) // the single place where this type is made
}

/** Enough distinct trusted keys over the exact bytes, for the namespace those bytes name. */
export function openPublished(envelope: Envelope, trustChain: TrustChain, now: Date): SignedManifest {
  return openWith("every", envelope, trustChain, now)
}

/** For a registry's admission as well, which is not about to load anything: it is not exported from this package. */
export function openWith(verifiers: Verifiers, envelope: Envelope, trustChain: TrustChain, now: Date): SignedManifest {
  const trust = trustInForce(trustChain, now)
  const holding = checkSignatures(envelope, statementPayloadType, publicKeys(trust), verifiers)
  const valid = [...holding].filter((keyid) => counts(trust, keyid))
  if (valid.length === 0) throw untrusted("no key that the trust root lists has signed this manifest")
  const manifest = parseStatement(envelope.payload)
  if (manifest.registry !== trust.registry)
    throw mismatch(`signed for the registry ${manifest.registry}, trusted is ${trust.registry}`)
  const signers = requirePublishers(trust, manifest.model, valid)
  return { ...manifest, signers } as unknown as SignedManifest
}

/** A genuine proof of something else proves nothing here: the entry must be of this payload and these signatures. */
function requireEntry({ leaf, index }: LoggedEntry, envelope: Envelope, manifest: Manifest): void {
  const { payload, signatures, op, model, subject } = leaf
  if (op !== "publish" || index < 2) throw notLogged(`entry ${index} is a ${op}, not a publish`)
  const sameBytes =
    payload.type === envelope.payloadType &&
    payload.sha256 === manifest.digest &&
    payload.size === envelope.payload.length &&
    (payload.inline === undefined || equalBytes(payload.inline, envelope.payload))
  if (!sameBytes)
    throw notLogged(`entry ${index} is of sha256:${payload.sha256}, the bundle holds sha256:${manifest.digest}`)
  const sameSigners =
    signatures.length === envelope.signatures.length &&
    signatures.every(({ keyid, sig }, at) => {
      const other = envelope.signatures[at]
      return other?.keyid === keyid && equalBytes(sig, other.sig)
    })
  if (!sameSigners) throw notLogged(`entry ${index} was logged with other signatures than the bundle holds`)
  if (model !== manifest.model || subject !== manifest.version) {
    throw notLogged(`entry ${index} is of ${model}@${subject}, the bundle holds ${manifest.model}@${manifest.version}`)
  }
}

function requireSubject(manifest: Manifest, reference: Reference): void {
  const { model, selector } = reference
  if (selector.by === "alias" || selector.by === "range") {
    throw new ManifestError("NEEDS_LOG", `${formatReference(reference)}: this release has no aliases and no ranges`)
  }
  const [wanted, found] =
    selector.by === "version" ? [selector.version, manifest.version] : [selector.digest, manifest.digest]
  if (manifest.model !== model || wanted !== found) {
    throw mismatch(
      `asked for ${formatReference(reference)}, validly signed is ${manifest.model}@${manifest.version} (sha256:${manifest.digest})`,
    )
  }
}

function brand(manifest: SignedManifest, { leaf, index, checkpoint, note, freshness }: LoggedEntry): VerifiedManifest {
  return {
    ...manifest,
    index,
    loggedAt: new Date(leaf.at),
    checkpoint,
    checkpointNote: note,
    freshness: freshness === null ? null : new Date(freshness * 1000),
  } as VerifiedManifest
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at])
}

function mismatch(message: string): ManifestError {
  return new ManifestError("SUBJECT_MISMATCH", message, {
    hint: "it is signed, but it is not what was asked for: ask the publisher, and whoever runs the registry",
  })
}
