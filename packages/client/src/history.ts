/**
 * What happened to a model, as the log has it: every entry proven to be in the log, linked to the one before without a
 * gap, and judged by the rules: what it says was published is what was signed, by keys that may. The registry could still leave out the newest ones; `audit` finds that.
 *
 *     for (const { at, version, signers } of (await modelHistory("acme/mnist", options)).entries) …
 */
import {
  HistoryError,
  type Leaf,
  limits,
  ManifestError,
  openEntry,
  parseLeaf,
  parseModelName,
  publicKeys,
} from "@weighlock/manifest"
import { type Checkpoint, equalHashes, hashLeaf } from "@weighlock/tlog"
import { requireOurGenesis } from "./genesis.ts"
import { proveGrowth } from "./growth.ts"
import { asMembers, bytesOf, countOf, hashesOf, listOf, malformed, parseMembers, textOf } from "./json-answer.ts"
import { keepSeen, provenEntry, requireFreshHead } from "./log.ts"
import { openHead } from "./log-head.ts"
import { judgeLoneEntry } from "./lone-entry.ts"
import { PageCount } from "./pages.ts"
import { type ClientOptions, type Session, withSession } from "./session.ts"
import { requireQuorum } from "./witnessed.ts"

export interface HistoryEntry {
  readonly index: number
  readonly seq: number
  readonly op: Leaf["op"]
  /** By the registry's clock. */
  readonly at: Date
  /** The version, of a publish. */
  readonly subject: string
  /** SHA-256 of the payload, hex: of a publish, the manifest digest. */
  readonly digest: string
  /** Keyids of the trust root whose signature holds. */
  readonly signers: readonly string[]
}

export interface ModelHistory {
  readonly model: string
  /** The state of the log that holds all of it. */
  readonly checkpoint: Checkpoint
  readonly entries: readonly HistoryEntry[]
}

/** Throws NOT_FOUND when nothing was ever logged of that model, LOG_INVALID, RULE_BROKEN, NOT_YET_WITNESSED, STALE, ROLLBACK. */
export async function modelHistory(model: string, options: ClientOptions): Promise<ModelHistory> {
  parseModelName(model)
  return await withSession(options, undefined, async (session) => {
    const entries: HistoryEntry[] = []
    const chain: ModelChain = { seq: 0, prev: new Uint8Array(0), index: 1, versions: new Set() }
    const count = new PageCount(`the history of ${model}`)
    for (let after: number | null = null; ;) {
      const page: Page = await readPage(session, model, after)
      count.add(page.entries.length, page.next)
      for (const { index, entry } of page.entries) {
        entries.push(await openLinked(session, model, index, entry, chain))
      }
      if (page.next === null) return { model, checkpoint: page.checkpoint, entries }
      if (page.next !== entries.at(-1)?.seq) throw malformed(`the history of ${model}`)
      after = page.next
    }
  })
}

interface Page {
  readonly checkpoint: Checkpoint
  readonly entries: readonly { readonly index: number; readonly entry: Uint8Array }[]
  readonly next: number | null
}

async function readPage(session: Session, model: string, after: number | null): Promise<Page> {
  const what = `the history of ${model}`
  const query = after === null ? "" : `?after=${after}`
  const { body } = await session.transport.call(`api/v1/models/${model}/history${query}`, {
    what,
    method: "GET",
    limit: 2 * limits.bundle,
  })
  const page = parseMembers(body, what)
  const checkpoint = await acceptCheckpoint(session, textOf(page, "checkpoint", what))
  if (textOf(page, "model", what) !== model || countOf(page, "size", what) !== checkpoint.size) throw malformed(what)
  const entries = listOf(page, "entries", what).map((item) => {
    const members = asMembers(item, what)
    const [index, entry] = [countOf(members, "index", what), bytesOf(members, "entry", what)]
    const hashes = hashesOf(members, "hashes", what)
    return provenEntry({ index, size: checkpoint.size, entry, hashes }, checkpoint)
  })
  return { checkpoint, entries, next: page["next"] === undefined ? null : countOf(page, "next", what) }
}

/** Signed, witnessed, and one history with what was seen. It may be older than that, as in any answer but the head itself. */
async function acceptCheckpoint(session: Session, note: string): Promise<Checkpoint> {
  const seen = await session.seen.read()
  const head = openHead(Buffer.from(note), session.trustChain)
  await proveGrowth(session, seen, head)
  requireFreshHead(requireQuorum(head), session.maxStaleness, new Date())
  if (seen.checkpoint.size === 0) await requireOurGenesis(session, head.checkpoint)
  await keepSeen(session, head, seen)
  return head.checkpoint
}

/** What was read of a model so far. */
interface ModelChain {
  seq: number
  prev: Uint8Array
  index: number
  readonly versions: Set<string>
}

/** Opens the next entry of the chain and moves `chain` past it. */
async function openLinked(
  session: Session,
  model: string,
  index: number,
  entry: Uint8Array,
  chain: ModelChain,
): Promise<HistoryEntry> {
  const leaf = parseLeaf(entry)
  const linked =
    leaf.prev !== undefined && (chain.seq === 0 ? leaf.prev.length === 0 : equalHashes(leaf.prev, chain.prev))
  if (leaf.model !== model || leaf.seq !== chain.seq || !linked || index <= chain.index)
    throw new ManifestError(
      "LOG_INVALID",
      `entry ${index} does not follow the ${chain.seq} entries of ${model} before it`,
    )
  const payload = leaf.payload.inline === undefined ? await session.log.payload(leaf.payload.sha256) : null
  const opened = openEntry(entry, payload, publicKeys(session.trustChain.current), "every")
  judgeLoneEntry(session.trustChain, index, opened)
  const { subject = "", signers } = opened
  if (chain.versions.has(subject)) throw new HistoryError("binding", `${model}@${subject} was published before`)
  chain.versions.add(subject)
  chain.seq++
  chain.prev = hashLeaf(entry)
  chain.index = index
  return {
    index,
    seq: leaf.seq,
    op: leaf.op,
    at: new Date(leaf.at),
    subject,
    digest: leaf.payload.sha256,
    signers,
  }
}
