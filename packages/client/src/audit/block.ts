/** One bundle of entries, judged by itself: what a thread does, and what it answers. */
import {
  type AuditRule,
  HistoryError,
  limits,
  openEntry,
  type OpenedEntry,
  openTrustChain,
  parseLeaf,
  type PublicKey,
  publicKeys,
} from "@weighlock/manifest"
import { hashLeaf, parseEntryBundle, type Tile, tilePath } from "@weighlock/tlog"
import { ClientError, codeOf } from "../errors.ts"
import type { LogFiles } from "../log-reader.ts"
import type { SourceAddress } from "./source.ts"

/** What a thread needs to begin. */
export interface WorkerSetup {
  readonly source: SourceAddress
  /** Envelopes, as in a trust chain. */
  readonly trust: readonly Uint8Array[]
  readonly hashOnly: boolean
}

/** Of every trust root. Whoever hands over the envelopes has pinned them. */
export function publicKeysOf(trust: readonly Uint8Array[]): ReadonlyMap<string, PublicKey> {
  const { roots } = openTrustChain(trust, { by: "file" })
  return new Map(roots.flatMap((root) => [...publicKeys(root)]))
}

/** An entry that is none, or whose signature or payload fails. */
export interface BadEntry {
  readonly rule: AuditRule
  readonly code: string
  readonly message: string
  /** If its leaf could be read. */
  readonly model?: string
}

export interface JudgedBlock {
  readonly index: number
  /** Why there are no entries. */
  readonly fault: string | null
  /** Leaf hashes, 32 bytes each, in order. */
  readonly hashes: Uint8Array
  /** `null` when only hashes were asked for. */
  readonly entries: readonly (OpenedEntry | BadEntry)[] | null
}

export function isBad(entry: OpenedEntry | BadEntry): entry is BadEntry {
  return "rule" in entry
}

/** `keys` are those of the trust roots; `null` asks for hashes only. Throws what makes it pointless to go on: UNAVAILABLE. */
export async function judgeBlock(
  files: LogFiles,
  tile: Tile,
  keys: ReadonlyMap<string, PublicKey> | null,
): Promise<JudgedBlock> {
  const path = tilePath({ ...tile, level: "entries" })
  let bundle: Uint8Array[]
  try {
    bundle = parseEntryBundle(await files.read(path), tile.width)
  } catch (error) {
    return { index: tile.index, fault: faultOf(error), hashes: new Uint8Array(0), entries: null }
  }
  const hashes = new Uint8Array(32 * bundle.length)
  for (const [at, entry] of bundle.entries()) hashes.set(hashLeaf(entry), 32 * at)
  if (keys === null) return { index: tile.index, fault: null, hashes, entries: null }
  const entries: (OpenedEntry | BadEntry)[] = []
  for (const entry of bundle) entries.push(await judgeEntry(files, entry, keys))
  return { index: tile.index, fault: null, hashes, entries }
}

async function judgeEntry(
  files: LogFiles,
  entry: Uint8Array,
  keys: ReadonlyMap<string, PublicKey>,
): Promise<OpenedEntry | BadEntry> {
  try {
    return openEntry(entry, null, keys, "native")
  } catch (error) {
    if (!(error instanceof HistoryError)) throw error
    const leaf = leafOf(entry)
    // Asked for only where it is needed: nearly every payload stands in its entry.
    if (error.rule !== "payload" || leaf?.payload.inline !== undefined) return bad(error, leaf?.model)
    return await judgeWithPayload(files, entry, keys)
  }
}

async function judgeWithPayload(
  files: LogFiles,
  entry: Uint8Array,
  keys: ReadonlyMap<string, PublicKey>,
): Promise<OpenedEntry | BadEntry> {
  const leaf = parseLeaf(entry)
  try {
    const { sha256, size } = leaf.payload
    if (size > limits.payload) throw new HistoryError("payload", `a payload of ${size} bytes exceeds ${limits.payload}`)
    return openEntry(entry, await payloadOf(files, sha256), keys, "native")
  } catch (error) {
    if (!(error instanceof HistoryError)) throw error
    return bad(error, leaf.model)
  }
}

async function payloadOf(files: LogFiles, sha256: string): Promise<Uint8Array> {
  try {
    return await files.payload(sha256)
  } catch (error) {
    throw new HistoryError("payload", `the payload ${sha256} cannot be had: ${faultOf(error)}`, { cause: error })
  }
}

function leafOf(entry: Uint8Array): ReturnType<typeof parseLeaf> | null {
  try {
    return parseLeaf(entry)
  } catch {
    return null
  }
}

function bad({ rule, code, message }: HistoryError, model: string | undefined): BadEntry {
  return { rule, code, message, ...(model === undefined ? {} : { model }) }
}

/** What is wrong with a file of the log; an error that is about something else (no network, a bug) goes on its way. */
export function faultOf(error: unknown): string {
  const code = codeOf(error)
  const isOfFile = ["MALFORMED", "NOT_FOUND", "TOO_LARGE", "PROTOCOL", "FILE_UNREADABLE"].includes(String(code))
  if (!isOfFile || !(error instanceof Error)) throw error
  return error instanceof ClientError && code === "NOT_FOUND" ? "it is not there" : error.message
}
