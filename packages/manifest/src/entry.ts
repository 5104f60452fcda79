/**
 * The heavy half of judging an entry of the log: everything that follows from its bytes alone. It is stateless, so an
 * audit runs it in threads; the light half, what the entry may follow, is `applyEntry` of history.ts.
 *
 *     leaf bytes, payload bytes, known keys -> form, digest, signatures, content -> OpenedEntry
 *
 * An OpenedEntry survives a structured clone. Cast back what a thread of one's own has sent, and nothing else.
 */
import { type Hash, hashLeaf } from "@weighlock/tlog"
import { type Envelope, preAuthEncoding } from "./envelope.ts"
import { ManifestError } from "./errors.ts"
import { genesisPayloadType, parseGenesis } from "./genesis.ts"
import type { PublicKey } from "./keys.ts"
import { envelopeOf, type Leaf, type LeafOp, parseLeaf } from "./leaf.ts"
import { HistoryError } from "./rules.ts"
import { parseStatement, statementPayloadType } from "./statement.ts"
import { trustRootPayloadType } from "./trust.ts"
import { type Verifiers, verifyWith } from "./verifiers.ts"

declare const opened: unique symbol

/** What a payload says, as far as rules ask. */
export type EntryContent =
  | { readonly kind: "genesis"; readonly origin: string; readonly trustRoot: string; readonly vkey: string }
  /** Not read here: anyone may have made it, with as many keys to check as fit. `applyEntry` knows the one it must be. */
  | { readonly kind: "trust" }
  | {
      readonly kind: "publish"
      readonly registry: string
      readonly model: string
      readonly version: string
      readonly createdAt: string
    }
  /** An operation that this version does not know: `applyEntry` refuses it. */
  | { readonly kind: "unknown" }

/** Form, payload digest and signatures hold. Made only by `openEntry` and by the sequencer's `next…`. */
export interface OpenedEntry {
  readonly [opened]: true
  /** The leaf hash. */
  readonly hash: Hash
  readonly op: LeafOp
  readonly at: number
  readonly model?: string
  readonly seq?: number
  readonly prev?: Uint8Array
  readonly subject?: string
  readonly payload: { readonly type: string; readonly sha256: string; readonly size: number }
  /** Keyids among the given keys: each signature holds. Sorted. */
  readonly signers: readonly string[]
  /** Keyids of signatures by keys that were not given. */
  readonly strangers: readonly string[]
  readonly content: EntryContent
}

/**
 * `payload` is given exactly when the leaf does not hold it. `keys` are those of every trust root that may be in force,
 * and every one of them passed enrolment. Throws HistoryError: leaf, payload, signature, stranger, content.
 */
export function openEntry(
  entry: Uint8Array,
  payload: Uint8Array | null,
  keys: ReadonlyMap<string, PublicKey>,
  verifiers: Verifiers,
): OpenedEntry {
  const leaf = byRule("leaf", () => parseLeaf(entry))
  const envelope = byRule("payload", () => envelopeOf(leaf, payload))
  const { signers, strangers } = checkSigners(envelope, keys, verifiers)
  const content = byRule("content", () => readContent(leaf, envelope, signers))
  return describeEntry(hashLeaf(entry), leaf, { signers, strangers, content })
}

/** For what this package has judged already: it is not exported from it. */
export function describeEntry(
  hash: Hash,
  leaf: Leaf,
  judged: Pick<OpenedEntry, "signers" | "strangers" | "content">,
): OpenedEntry {
  const { signatures: _, payload, ...place } = leaf
  const { type, sha256, size } = payload
  return { hash, ...place, payload: { type, sha256, size }, ...judged } as unknown as OpenedEntry
}

function checkSigners(
  { payloadType, payload, signatures }: Envelope,
  keys: ReadonlyMap<string, PublicKey>,
  verifiers: Verifiers,
): { signers: string[]; strangers: string[] } {
  const message = preAuthEncoding(payloadType, payload)
  const [signers, strangers]: [string[], string[]] = [[], []]
  for (const { keyid, sig } of signatures) {
    const key = keys.get(keyid)
    if (key === undefined) strangers.push(keyid)
    else if (verifyWith(verifiers, key, sig, message)) signers.push(keyid)
    else throw new HistoryError("signature", `the signature of key ${keyid} does not match the payload`)
  }
  return { signers, strangers }
}

const payloadTypes: Partial<Record<LeafOp, string>> = {
  genesis: genesisPayloadType,
  trust: trustRootPayloadType,
  publish: statementPayloadType,
}

function readContent(leaf: Leaf, envelope: Envelope, signers: readonly string[]): EntryContent {
  const { op } = leaf
  const expected = payloadTypes[op]
  if (expected === undefined) return { kind: "unknown" }
  if (expected !== envelope.payloadType) {
    throw new HistoryError("content", `a ${op} holds ${JSON.stringify(envelope.payloadType)}, expected ${expected}`)
  }
  if (op === "genesis") return { kind: "genesis", ...parseGenesis(envelope.payload) }
  if (op === "trust") return { kind: "trust" }
  // Only signed bytes are ever parsed.
  if (signers.length === 0)
    throw new HistoryError("stranger", "no key that the trust root lists has signed the manifest")
  const { registry, model, version, createdAt } = parseStatement(envelope.payload)
  return { kind: "publish", registry, model, version, createdAt }
}

function byRule<T>(rule: "leaf" | "payload" | "content", judge: () => T): T {
  try {
    return judge()
  } catch (cause) {
    if (!(cause instanceof ManifestError) || cause instanceof HistoryError) throw cause
    throw new HistoryError(cause.code === "SIGNATURE_INVALID" ? "signature" : rule, cause.message, { cause })
  }
}
