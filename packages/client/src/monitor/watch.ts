/** One entry of the log in the eyes of somebody who owns names: is it signed by keys I know, and is none missing? */
import {
  HistoryError,
  type Leaf,
  namespaceOf,
  openEntry,
  type OpenedEntry,
  parseLeaf,
  patternMatches,
  type PublicKey,
  type TrustChain,
} from "@weighlock/manifest"
import { equalHashes, type Hash, hashLeaf } from "@weighlock/tlog"
import { faultOf } from "../audit/block.ts"
import type { LogFiles } from "../log-reader.ts"
import { judgeLoneEntry } from "../lone-entry.ts"
import type { Alert } from "./alert.ts"
import type { Cursor } from "./cursor.ts"

export interface Watched {
  /** Patterns as in a trust root: `acme/*`. */
  readonly owned: readonly string[]
  /** Keyids that may publish them; `null`: those of which the trust root says so. */
  readonly keys: ReadonlySet<string> | null
  readonly trustChain: TrustChain
  /** Of the trust root: whose signatures are checked. */
  readonly trusted: ReadonlyMap<string, PublicKey>
  readonly files: LogFiles
}

export type Noticed = Omit<Alert, "origin" | "at">

export interface Watching {
  readonly noticed: readonly Noticed[]
  /** The new head of the entry's model, to be kept once everything was delivered. */
  readonly head: { readonly model: string; readonly seq: number; readonly leaf: Hash } | null
}

export async function watchEntry(
  watched: Watched,
  models: Cursor["models"],
  index: number,
  entry: Uint8Array,
): Promise<Watching> {
  const leaf = leafOf(entry)
  const model = leaf?.model ?? ""
  if (model !== "" && !watched.owned.some((pattern) => patternMatches(pattern, model)))
    return { noticed: [], head: null }
  const place = {
    index,
    ...(model === "" ? {} : { model }),
    ...(leaf?.subject === undefined ? {} : { version: leaf.subject }),
  }
  const head = leaf?.seq === undefined ? null : { model, seq: leaf.seq, leaf: hashLeaf(entry) }
  const noticed: Noticed[] = []
  try {
    const opened = await open(watched, entry)
    if (model !== "") noticed.push(...judge(watched, models, opened, place))
    judgeLoneEntry(watched.trustChain, index, opened)
  } catch (error) {
    if (!(error instanceof HistoryError)) throw error
    const code = error.code === "RULE_BROKEN" ? "RULE_BROKEN" : "LOG_INVALID"
    noticed.push({ id: `${code}:${index}`, code, message: `entry ${index}: ${error.message}`, ...place })
  }
  return { noticed, head }
}

async function open({ files, trusted }: Watched, entry: Uint8Array): Promise<OpenedEntry> {
  const { payload } = parseLeafByRule(entry)
  if (payload.inline !== undefined) return openEntry(entry, null, trusted, "native")
  const bytes = await files.payload(payload.sha256).catch((error: unknown) => {
    throw new HistoryError("payload", `its payload cannot be had: ${faultOf(error)}`, { cause: error })
  })
  return openEntry(entry, bytes, trusted, "native")
}

function judge(
  { keys, trustChain }: Watched,
  models: Cursor["models"],
  { model = "", seq, prev, signers, strangers }: OpenedEntry,
  place: { index: number; model?: string; version?: string },
): Noticed[] {
  const noticed: Noticed[] = []
  const head = models.get(model)
  const expected = head === undefined ? 0 : head.seq + 1
  const linked = prev !== undefined && (head === undefined ? prev.length === 0 : equalHashes(prev, head.leaf))
  if (seq !== expected || !linked) {
    const message = `${model} goes on at number ${seq}, expected was ${expected}: something of it is missing`
    noticed.push({ id: `GAP:${place.index}`, code: "GAP", message, ...place })
  }
  const known = keys ?? new Set(namespaceOf(trustChain.current, model)?.publish.keys)
  const keyids = [...signers, ...strangers].filter((keyid) => !known.has(keyid))
  if (keyids.length > 0) {
    const message = `${model}@${place.version} was published under ${keyids.length} key(s) that you did not name`
    noticed.push({ id: `UNKNOWN_KEY:${place.index}`, code: "UNKNOWN_KEY", message, ...place, keyids })
  }
  return noticed
}

/** `null` for what is no leaf, which concerns everybody. */
function leafOf(entry: Uint8Array): Leaf | null {
  try {
    return parseLeaf(entry)
  } catch {
    return null
  }
}

function parseLeafByRule(entry: Uint8Array): Leaf {
  try {
    return parseLeaf(entry)
  } catch (cause) {
    throw new HistoryError("leaf", (cause as Error).message, { cause })
  }
}
