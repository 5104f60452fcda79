/**
 * Trust roots and signed manifests made in memory, with every value a test may want to change.
 *
 *     const { chain, signer } = await makeTrust()
 *     const envelope = await signManifest(makeStatement(draft()), [signer])
 */
import { generateKeyPairSync } from "node:crypto"
import {
  type Bundle,
  canonicalJson,
  type Draft,
  encodeBase64,
  type Envelope,
  formatEnvelope,
  type JsonObject,
  makeStatement,
  openTrustChain,
  parseReference,
  type PublicKey,
  type Resource,
  sha256Hex,
  signEnvelope,
  type Signer,
  statementPayloadType,
  type TrustChain,
  trustRootPayloadType,
  verify,
  type VerifiedManifest,
  type VerifyRequest,
} from "@weighlock/manifest"
import { generateEd25519, signerFor } from "@weighlock/manifest/node"
import { emptyCheckpoint } from "@weighlock/tlog"
import { type NoteKey, noteKey, TinyLog } from "./tiny-log.ts"

export const registry = "models.acme.example"
export const now = new Date("2026-11-24T00:00:00Z")
export const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)

export const ed25519Signer = (): Signer => signerFor(generateEd25519())
export const p256Signer = (): Signer => signerFor(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey)

export const keyEntry = ({ type, bytes }: PublicKey): JsonObject => ({ type, public: encodeBase64(bytes) })
export const role = (threshold: number, ...signers: Signer[]): JsonObject => ({
  threshold,
  keys: signers.map(({ publicKey }) => publicKey.keyid),
})
export const namespace = (pattern: string, publish: JsonObject): JsonObject => ({
  pattern,
  publish,
  promote: publish,
  epoch: 0,
})

/** Signs the checkpoints of every test's log. */
export const logKey: NoteKey = noteKey(`${registry}/log`)
export const { vkey } = logKey

/** The payload of a good v1 root as plain JSON, to be changed before it is signed. */
export function rootJson(signers: readonly Signer[], changes: JsonObject = {}): JsonObject {
  const all = role(1, ...signers)
  return {
    type: "trust-root",
    schema: 1,
    registry,
    version: 1,
    expires: "2027-11-23T00:00:00Z",
    keys: Object.fromEntries(signers.map(({ publicKey }) => [publicKey.keyid, keyEntry(publicKey)])),
    roles: { root: all },
    log: { origin: `${registry}/log`, vkeys: [vkey], policy: "quorum none\n" },
    namespaces: [namespace("*/*", all)],
    ...changes,
  }
}

export async function signRoot(json: JsonObject, signers: readonly Signer[]): Promise<Uint8Array<ArrayBuffer>> {
  return formatEnvelope(
    await signEnvelope({ payloadType: trustRootPayloadType, payload: canonicalJson(json) }, signers),
  )
}

/** A chain whose root lists `signers`; the first of them signs it. */
export async function makeChain(signers: readonly Signer[], changes: JsonObject = {}): Promise<TrustChain> {
  return openTrustChain([await signRoot(rootJson(signers, changes), signers.slice(0, 1))], { by: "file" })
}

export function file(name: string, text = name): Resource {
  return { name, digest: sha256Hex(utf8(text)), size: utf8(text).length }
}

export function draft(changes: Partial<Draft> = {}): Draft {
  return {
    registry,
    model: "acme/mnist",
    version: "1.2.0",
    createdAt: "2026-11-23T12:00:00Z",
    format: "tfjs-layers",
    entrypoint: "model.json",
    metadata: { framework: "tensorflow.js" },
    exclude: [],
    resources: [file("group1-shard1of1.bin"), file("model.json")],
    ...changes,
  }
}

export const signManifest = (payload: Uint8Array, signers: readonly Signer[]): Promise<Envelope> =>
  signEnvelope({ payloadType: statementPayloadType, payload }, signers)

export const signDraft = (signers: readonly Signer[], changes: Partial<Draft> = {}): Promise<Envelope> =>
  signManifest(makeStatement(draft(changes)), signers)

/** The envelope as the first publish of a log that begins with `chain`, and its proof. */
export function logged(chain: TrustChain, envelope: Envelope): Bundle {
  const log = new TinyLog(chain, logKey)
  return log.bundle(envelope, log.publish(envelope))
}

/** `verify` as a client at first contact calls it; an envelope is logged before. */
export function check(
  chain: TrustChain,
  bundle: Bundle | Envelope,
  reference = "acme/mnist@1.2.0",
  at = now,
  changes: Partial<VerifyRequest> = {},
): VerifiedManifest {
  return verify({
    reference: parseReference(reference),
    bundle: "envelope" in bundle ? bundle : logged(chain, bundle),
    trustChain: chain,
    seen: emptyCheckpoint(chain.current.log.origin),
    consistency: [],
    maxStaleness: null,
    now: at,
    ...changes,
  })
}
