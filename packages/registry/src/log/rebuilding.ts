/**
 * Takes entries over from static files into an empty ledger, each of them verified as an audit would.
 *
 *     tile/entries/000, 001 …  -> leaf, payload, signatures, history -> 256 entries a commit -> the root that was signed
 */
import { readFile } from "node:fs/promises"
import { join } from "node:path"

import {
  HistoryError,
  type OpenedEntry,
  type PublicKey,
  ReplayedHistory,
  type TrustChain,
  openEntry,
  parseLeaf,
  parseStatement,
} from "@weighlock/manifest"
import {
  type Checkpoint,
  GrowingTree,
  equalHashes,
  parseEntryBundle,
  rootNodes,
  tilePath,
  tileWidth,
  treeRoot,
} from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import type { SqliteLedger } from "../store/ledger-sqlite.ts"
import type { BlobFacts, LogHead, NewEntry, NewManifest } from "../store/ledger.ts"
import type { BlobTaker } from "./blob-copier.ts"
import { keysOf } from "./examine/history.ts"
import { grow } from "./log.ts"
import { TreeNodes } from "./tree-nodes.ts"

export type RebuildProgress = (progress: { readonly entries: number; readonly of: number }) => void

/** A file of a version, by the bytes it needs. */
export interface MissingFile {
  readonly model: string
  readonly version: string
  readonly path: string
  /** Hex. */
  readonly sha256: string
}

interface Needed {
  readonly facts: BlobFacts
  readonly file: MissingFile
}

export class Rebuilding {
  readonly #ledger: SqliteLedger
  readonly #nodes: TreeNodes
  readonly #source: string
  readonly #blobs: BlobTaker
  readonly #history: ReplayedHistory
  readonly #keys: ReadonlyMap<string, PublicKey>
  readonly #missing: MissingFile[] = []
  #versions = 0

  constructor(ledger: SqliteLedger, trustChain: TrustChain, source: string, blobs: BlobTaker) {
    this.#ledger = ledger
    this.#nodes = new TreeNodes(ledger)
    this.#source = source
    this.#blobs = blobs
    this.#history = new ReplayedHistory(trustChain)
    this.#keys = keysOf(trustChain)
  }

  /** `missing`: every file of every version whose bytes are not there, in the log's order. */
  counts(): { readonly versions: number; readonly missing: readonly MissingFile[] } {
    return { versions: this.#versions, missing: this.#missing }
  }

  /** A tile's worth a commit; only the last one has a checkpoint, and only if the root is the one that was signed. */
  async run(checkpoint: Checkpoint, note: string, onProgress?: RebuildProgress): Promise<void> {
    const nodes = this.#nodes
    let head: LogHead = await this.#ledger.fence()
    let tree = new GrowingTree()
    for (let start = 0; start < checkpoint.size; start += tileWidth) {
      const entries = await this.#read(start, Math.min(tileWidth, checkpoint.size - start))
      const grown = grow(tree, nodes, entries)
      const to = { size: grown.tree.size, root: grown.tree.root() }
      const isLast = to.size === checkpoint.size
      if (isLast && !equalHashes(to.root, checkpoint.root)) {
        throw new RegistryError("STORE_FAILED", `the entries in ${this.#source} have another root than was signed`)
      }
      await this.#ledger.commit({ from: head, to, entries, tiles: grown.tiles, note: isLast ? note : null })
      nodes.add(grown.nodes)
      tree = grown.tree
      head = { ...to, epoch: head.epoch }
      onProgress?.({ entries: to.size, of: checkpoint.size })
    }
  }

  /** That the log went through this very state. */
  async requireState({ size, root }: Checkpoint): Promise<void> {
    await this.#nodes.load(rootNodes(size))
    if (equalHashes(treeRoot(size, this.#nodes.read), root)) return
    throw new RegistryError(
      "STORE_FAILED",
      `the entries in ${this.#source} had another root at ${size} than was signed`,
    )
  }

  /** With the blobs that they need recorded: in one transaction, as one a manifest would take as long as an fsync. */
  async #read(start: number, width: number): Promise<readonly NewEntry[]> {
    const path = tilePath({ level: "entries", index: start / tileWidth, width })
    const bytes = await this.#file(path)
    const leaves = broken(path, () => parseEntryBundle(bytes, width))
    const entries: NewEntry[] = []
    const needed: Needed[] = []
    for (const [at, leaf] of leaves.entries()) entries.push(await this.#entry(start + at, leaf, needed))
    await this.#ledger.recordBlobs(needed.map(({ facts }) => facts))
    for (const { facts, file } of needed) {
      await this.#blobs.copy(facts)
      if (this.#blobs.missing.has(file.sha256)) this.#missing.push(file)
    }
    return entries
  }

  async #entry(index: number, bytes: Uint8Array, needed: Needed[]): Promise<NewEntry> {
    const leaf = broken(`entry ${index}`, () => parseLeaf(bytes))
    const { sha256, inline } = leaf.payload
    const payload = inline ?? (await this.#file(`payload/sha256/${sha256}`))
    const opened = broken(`entry ${index}`, () => openEntry(bytes, inline ? null : payload, this.#keys, "native"))
    broken(`entry ${index}`, () => this.#history.apply(opened))
    return {
      index,
      leaf: bytes,
      hash: opened.hash,
      ...(leaf.model !== undefined && leaf.seq !== undefined && { place: { model: leaf.model, seq: leaf.seq } }),
      ...(!inline && { payload: { sha256, bytes: payload } }),
      ...(leaf.op === "trust" && { trustRoot: { version: Number(leaf.subject), digest: sha256 } }),
      ...(leaf.op === "publish" && { manifest: this.#manifest(opened, payload, needed) }),
    }
  }

  /** The registry had proven its blobs when it logged this: their facts are in the signed manifest. */
  #manifest({ payload: { sha256 } }: OpenedEntry, payload: Uint8Array, needed: Needed[]): NewManifest {
    const { model, version, createdAt, resources } = parseStatement(payload)
    for (const { name: path, digest, size, parts } of resources)
      needed.push({
        facts: { sha256: digest, size, ...(parts && { parts }) },
        file: { model, version, path, sha256: digest },
      })
    this.#versions += 1
    return { digest: sha256, model, version, createdAt, blobs: resources.map(({ digest }) => digest) }
  }

  async #file(path: string): Promise<Uint8Array> {
    try {
      return await readFile(join(this.#source, path))
    } catch (cause) {
      throw new RegistryError("STORE_FAILED", `${path} is not in ${this.#source}`, { cause })
    }
  }
}

function broken<T>(what: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    const rule = cause instanceof HistoryError ? `${cause.rule}: ` : ""
    const message = `${what} can't be taken over: ${rule}${cause instanceof Error ? cause.message : String(cause)}`
    throw new RegistryError("STORE_FAILED", message, { cause })
  }
}
