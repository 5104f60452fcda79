/**
 * The next entries of a log, as its sequencer makes them. What is made here is judged by `applyEntry` like anything else
 * before it is committed.
 */
import { hashLeaf } from "@weighlock/tlog"
import { requireUnexpired } from "./authority.ts"
import { describeEntry, type EntryContent, type OpenedEntry } from "./entry.ts"
import { type EnvelopeSignature, parseEnvelope } from "./envelope.ts"
import { ManifestError } from "./errors.ts"
import { formatGenesis, genesisPayloadType } from "./genesis.ts"
import { type History, judgePublish, trustAt } from "./history.ts"
import { formatLeaf, type Leaf, payloadOf } from "./leaf.ts"
import { statementPayloadType } from "./statement.ts"
import { trustRootPayloadType } from "./trust.ts"
import type { TrustChain } from "./trust-chain.ts"

/** What `admitPublish` has judged, and the signatures it judged. */
export interface AdmittedPublish {
  readonly registry: string
  readonly model: string
  readonly version: string
  readonly createdAt: string
  /** Manifest digest. */
  readonly digest: string
  /** The exact statement bytes. */
  readonly payload: Uint8Array
  /** Those of the envelope: each by a key of the trust root, each holds. */
  readonly signatures: readonly EnvelopeSignature[]
}

export interface NextEntry {
  readonly leaf: Leaf
  /** The bytes of the leaf. */
  readonly entry: Uint8Array<ArrayBuffer>
  readonly opened: OpenedEntry
  /** Whole; it is kept beside the log exactly when `leaf.payload.inline` is absent. */
  readonly payload: Uint8Array
}

/**
 * `at` is the clock in ms since 1970; the leaf's is never less than the last one's. The caller has answered repetitions
 * (`judgePublish` says "same") before. Throws VERSION_EXISTS, TRUST_EXPIRED or TOO_LARGE.
 */
export function nextPublish(history: History, admitted: AdmittedPublish, at: number): NextEntry {
  const { registry, model, version, createdAt, digest, payload, signatures } = admitted
  const holder = history.bound(model, version)
  if (holder !== null && judgePublish({ digest: holder }, admitted) === "same") {
    throw new ManifestError("VERSION_EXISTS", `${model}@${version} is in the log already: the same manifest`)
  }
  const head = history.model(model)
  const time = Math.max(at, history.lastAt)
  requireUnexpired(trustAt(history.trustChain, history.size), new Date(time))
  const leaf: Leaf = {
    op: "publish",
    at: time,
    model,
    seq: head === null ? 0 : head.seq + 1,
    prev: head === null ? new Uint8Array(0) : head.leaf,
    subject: version,
    payload: payloadOf(statementPayloadType, payload, digest),
    signatures,
  }
  return nextEntry(leaf, payload, { kind: "publish", registry, model, version, createdAt })
}

/** Entries 0 and 1 of a new log: its genesis under the key `vkey`, and the trust root it answers to. */
export function firstEntries(trustChain: TrustChain, vkey: string, at: number): readonly [NextEntry, NextEntry] {
  const { log, digest } = trustAt(trustChain, 0)
  const facts = { origin: log.origin, trustRoot: digest, vkey }
  const payload = formatGenesis(facts)
  const leaf: Leaf = { op: "genesis", at, payload: payloadOf(genesisPayloadType, payload), signatures: [] }
  return [nextEntry(leaf, payload, { kind: "genesis", ...facts }), firstTrust(trustChain, at)]
}

function firstTrust(trustChain: TrustChain, at: number): NextEntry {
  const { payload, signatures } = parseEnvelope(trustChain.envelopes[0] ?? new Uint8Array(0))
  const { version, keys } = trustAt(trustChain, 1)
  const leaf: Leaf = {
    op: "trust",
    at,
    subject: String(version),
    payload: payloadOf(trustRootPayloadType, payload),
    signatures,
  }
  return nextEntry(leaf, payload, { kind: "trust" }, keys)
}

/** `keys`: whose signatures were judged, where others may have signed as well. */
function nextEntry(
  leaf: Leaf,
  payload: Uint8Array,
  content: EntryContent,
  keys?: ReadonlyMap<string, unknown>,
): NextEntry {
  const entry = formatLeaf(leaf)
  const keyids = leaf.signatures.map(({ keyid }) => keyid)
  const signers = keyids.filter((keyid) => keys?.has(keyid) ?? true)
  const strangers = keyids.filter((keyid) => !signers.includes(keyid))
  return { leaf, entry, payload, opened: describeEntry(hashLeaf(entry), leaf, { signers, strangers, content }) }
}
