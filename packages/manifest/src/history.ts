/**
 * The rules of the registry's history, pure: the registry decides with them, an auditor replays with them.
 *
 *     registry: admitPublish -> nextPublish(history, admitted, at) -> draft.apply(next.opened) -> commit
 *     auditor:  openEntry(entry, payload, keys, "native")          -> replayed.apply(opened)
 *
 * Both halves of the last step are `applyEntry`. Rules have names: rules.ts.
 */
import { equalHashes, type Hash } from "@weighlock/tlog"
import { requirePublishers } from "./authority.ts"
import type { OpenedEntry } from "./entry.ts"
import { ManifestError } from "./errors.ts"
import { type AuditRule, HistoryError } from "./rules.ts"
import type { Manifest } from "./statement.ts"
import { formatTime } from "./time.ts"
import type { TrustRoot } from "./trust.ts"
import { countDistinct, type TrustChain } from "./trust-chain.ts"

/** The newest entry of a model. */
export interface ModelHead {
  readonly seq: number
  readonly leaf: Hash
}

/** What entries before have fixed, as far as the next one is judged by it. */
export interface History {
  /** The chain this log answers to: pinned by whoever judges, and never taken from the log. */
  readonly trustChain: TrustChain
  /** Entries so far: the next one's index. */
  readonly size: number
  /** `at` of the last entry; 0 before the first. */
  readonly lastAt: number
  model(name: string): ModelHead | null
  /** Digest of the manifest that the version is bound to. */
  bound(model: string, version: string): string | null
}

/** What `apply` adds to a history. */
export interface Growing extends History {
  /** Judges by `applyEntry`, then adds. Throws HistoryError. */
  apply(opened: OpenedEntry): void
}

/** The trust root whose lists judge the entry at that index: the newest one logged before it. */
export function trustAt({ roots }: TrustChain, _index: number): TrustRoot {
  const [first] = roots // successors come with the entries that log them
  if (first === undefined) throw new TypeError("a trust chain is never empty")
  return first
}

/** May this entry be the next one? Says only that: nothing is added. Throws HistoryError. */
export function applyEntry(history: History, opened: OpenedEntry): void {
  requirePlace(history, opened)
  if (opened.at < history.lastAt) {
    throw broken("time", `at is ${opened.at}, and ${history.lastAt} in the entry before`)
  }
  switch (opened.content.kind) {
    case "genesis":
      return requireGenesis(history.trustChain, opened.content)
    case "trust":
      return requireFirstTrust(history.trustChain, opened)
    case "publish":
      return requirePublish(history, opened, opened.content)
    case "unknown":
      throw broken("operation", `this version does not know the operation ${opened.op}`)
  }
}

type Content<Kind extends OpenedEntry["content"]["kind"]> = Extract<OpenedEntry["content"], { kind: Kind }>

function requirePlace({ size }: History, { op, content }: OpenedEntry): void {
  const expected = size === 0 ? "genesis" : size === 1 ? "trust" : "publish"
  if (op !== expected || content.kind !== expected) {
    throw broken("operation", `entry ${size} is a ${op}, it must be a ${expected}`)
  }
}

/** Also what a client asks of the first log it meets. Throws HistoryError. */
export function requireGenesis(trustChain: TrustChain, genesis: Omit<Content<"genesis">, "kind">): void {
  const { log, digest } = trustAt(trustChain, 0)
  if (genesis.origin !== log.origin)
    throw broken("genesis", `the log says it is ${genesis.origin}, trusted is ${log.origin}`)
  if (genesis.trustRoot !== digest) {
    throw broken(
      "genesis",
      `the log began with the trust root sha256:${genesis.trustRoot}, trusted is sha256:${digest}`,
    )
  }
  if (!log.vkeys.includes(genesis.vkey)) {
    throw broken("genesis", `the log began with the key ${genesis.vkey}, which the trust root does not name`)
  }
}

function requireFirstTrust(trustChain: TrustChain, opened: OpenedEntry): void {
  const { digest, version, root } = trustAt(trustChain, 1)
  if (opened.payload.sha256 !== digest) {
    throw broken("trust", `entry 1 holds the trust root sha256:${opened.payload.sha256}, trusted is sha256:${digest}`)
  }
  if (opened.subject !== String(version))
    throw broken("subject", `the entry says ${opened.subject}, the root ${version}`)
  // The bytes are those of the root that the chain has opened, so its keys are the ones to count.
  const signed = countDistinct(root, opened.signers)
  if (signed < root.threshold)
    throw broken("trust", `it carries ${signed} of the ${root.threshold} signatures of its root role`)
}

function requirePublish(history: History, opened: OpenedEntry, content: Content<"publish">): void {
  const trust = trustAt(history.trustChain, history.size)
  const { registry, model, version } = content
  if (registry !== trust.registry)
    throw broken("registry", `the manifest is for ${registry}, this is ${trust.registry}`)
  if (opened.model !== model || opened.subject !== version) {
    throw broken("subject", `the entry says ${opened.model}@${opened.subject}, the manifest ${model}@${version}`)
  }
  requireOrder(history.model(model), opened)
  const holder = history.bound(model, version)
  if (holder !== null) throw broken("binding", `${model}@${version} is bound to sha256:${holder} already`)
  requireAuthority(trust, opened, model)
}

function requireOrder(head: ModelHead | null, { model, seq, prev }: OpenedEntry): void {
  const expected = head === null ? 0 : head.seq + 1
  if (seq !== expected) throw broken("sequence", `seq of ${model} is ${seq}, expected ${expected}`)
  const linked = prev !== undefined && (head === null ? prev.length === 0 : equalHashes(prev, head.leaf))
  if (!linked) throw broken("previous", `prev is not the leaf hash of the entry of ${model} before`)
}

function requireAuthority(trust: TrustRoot, { at, signers, strangers }: OpenedEntry, model: string): void {
  const stranger = strangers[0] ?? signers.find((keyid) => !trust.keys.has(keyid))
  if (stranger !== undefined) throw broken("stranger", `the key ${stranger} is not in the trust root`)
  if (trust.expires.getTime() <= at) {
    throw broken("expiry", `the trust root expired at ${formatTime(trust.expires)}, before this entry`)
  }
  try {
    requirePublishers(trust, model, signers)
  } catch (cause) {
    if (!(cause instanceof ManifestError)) throw cause
    throw new HistoryError("threshold", cause.message, { cause })
  }
}

function broken(rule: AuditRule, message: string): HistoryError {
  return new HistoryError(rule, message)
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
