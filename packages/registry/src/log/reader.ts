/** The log as outsiders read it: nothing beyond the last published checkpoint, and every entry shown to be the logged one. */
import { sha256Hex } from "@weighlock/manifest"
import { type Hash, formatEntryBundle, parseTilePath, tileWidth } from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import type { Ledger, LogEntry } from "../store/ledger.ts"
import type { Bundles } from "./bundles.ts"
import type { Log } from "./log.ts"
import type { ServedCheckpoint } from "./served.ts"

/** A page of entries ends when it holds as many bytes. */
const pageBytes = 4 * 1024 * 1024

export interface HistoryPage {
  readonly checkpoint: ServedCheckpoint
  readonly entries: readonly (LogEntry & { readonly hashes: readonly Hash[] })[]
  /** The seq to go on after; `null` on the last page. */
  readonly next: number | null
}

export class LogReader {
  readonly #log: Log
  readonly #ledger: Ledger
  readonly #bundles: Bundles

  constructor(log: Log, ledger: Ledger, bundles: Bundles) {
    this.#log = log
    this.#ledger = ledger
    this.#bundles = bundles
  }

  checkpoint(): ServedCheckpoint {
    return this.#log.served.shown
  }

  /** Committed; not what readers are shown where witnesses must sign first. */
  newest(): ServedCheckpoint {
    return this.#log.served.newest
  }

  /** `path` as tlog-tiles has it, `tile/…`. `null` when the published log has no such tile. */
  async tile(path: string): Promise<Uint8Array | null> {
    const { level, index, width } = parseTile(path)
    const { size } = this.#log.served.newest
    const span = level === "entries" ? 1 : tileWidth ** level
    if ((index * tileWidth + width) * span > size) return null
    if (level !== "entries") return await this.#log.tile(level, index, width)
    const entries = await this.#entries(index * tileWidth, index * tileWidth + width)
    return formatEntryBundle(entries.map(({ leaf }) => leaf))
  }

  /** NOT_FOUND: not a payload that is kept beside the log. */
  async payload(sha256: string): Promise<Uint8Array> {
    const bytes = await this.#ledger.payload(sha256)
    if (!bytes) throw new RegistryError("NOT_FOUND", `no logged payload sha256:${sha256}`)
    if (sha256Hex(bytes) === sha256) return bytes
    throw new RegistryError("STORE_FAILED", `the payload ${sha256} in the ledger is damaged`)
  }

  /** NOT_FOUND: no such entry in a tree of that size, or no tree of that size yet. */
  async proof(index: number, size: number): Promise<{ readonly entry: Uint8Array; readonly hashes: readonly Hash[] }> {
    this.#requireSize(size)
    if (index >= size) throw new RegistryError("NOT_FOUND", `a log of ${size} entries has no entry ${index}`)
    const [entry] = await this.#entries(index, index + 1)
    if (!entry) throw new RegistryError("NOT_FOUND", `no entry ${index}`)
    return { entry: entry.leaf, hashes: await this.#log.inclusion(index, size) }
  }

  async consistency(from: number, to: number): Promise<readonly Hash[]> {
    this.#requireSize(to)
    if (from > to) throw new RegistryError("NOT_FOUND", `no log of ${from} entries becomes one of ${to}`)
    return await this.#log.consistency(from, to)
  }

  /** Entries [from, from + limit) of a log of `size`, fewer when they are large. */
  async page(from: number, limit: number, size: number): Promise<readonly LogEntry[]> {
    return onePage(await this.#entries(Math.min(from, size), Math.min(from + limit, size)))
  }

  /** Entries of a model after seq `after`, each proven under the checkpoint that is served. NOT_FOUND: never published. */
  async history(model: string, after: number, limit: number): Promise<HistoryPage> {
    const checkpoint = this.checkpoint()
    const found = await this.#ledger.history(model, after, limit)
    if (found.length === 0 && (await this.#ledger.history(model, -1, 1)).length === 0) {
      throw new RegistryError("NOT_FOUND", `nothing was published as ${model}`)
    }
    const shown = onePage(found.filter(({ index }) => index < checkpoint.size))
    const entries: (LogEntry & { hashes: readonly Hash[] })[] = []
    for (const entry of shown) {
      await this.#bundles.requireLogged(entry)
      entries.push({ ...entry, hashes: await this.#log.inclusion(entry.index, checkpoint.size) })
    }
    const isLast = found.length < limit && shown.length === found.length
    return { checkpoint, entries, next: isLast || shown.length === 0 ? null : after + shown.length }
  }

  async #entries(start: number, end: number): Promise<readonly LogEntry[]> {
    const entries = await this.#ledger.entries(start, end)
    for (const entry of entries) await this.#bundles.requireLogged(entry)
    return entries
  }

  #requireSize(size: number): void {
    const { newest } = this.#log.served
    if (size <= newest.size) return
    throw new RegistryError("NOT_FOUND", `the log has ${newest.size} entries, not yet ${size}`)
  }
}

/** As many of these as a page may hold, at least one. */
function onePage(entries: readonly LogEntry[]): readonly LogEntry[] {
  let bytes = 0
  const end = entries.findIndex(({ leaf }) => (bytes += leaf.length) > pageBytes)
  return end === -1 ? entries : entries.slice(0, Math.max(1, end))
}

function parseTile(path: string): ReturnType<typeof parseTilePath> {
  try {
    return parseTilePath(path)
  } catch (cause) {
    throw new RegistryError("NOT_FOUND", "the log has no such tile", { cause })
  }
}
