/**
 * Makes a data folder anew from what was published: the static files of the log (a published folder, or what
 * `weighlock log export` wrote), and the blobs as far as they are there. The root is the one that was signed, or nothing is made.
 *
 *     await rebuild({ source: "export", blobs: "old/blobs", data: "/var/lib/weighlock", trust: "trust.json" })
 *     { size: 1042, root: "nND/nri/…=", versions: 1040, missingBlobs: ["5891b5b5…"] }
 *
 * A blob that is missing is asked for again by whoever publishes its files again; the version is there all the same.
 */
import { readFile, readdir, rename, rm } from "node:fs/promises"
import { join } from "node:path"

import {
  HistoryError,
  type OpenedEntry,
  type PublicKey,
  ReplayedHistory,
  type TrustChain,
  encodeBase64,
  openEntry,
  parseLeaf,
  parseStatement,
} from "@weighlock/manifest"
import {
  type Checkpoint,
  GrowingTree,
  equalHashes,
  formatNote,
  openCheckpoint,
  parseEntryBundle,
  parseNote,
  parseVkey,
  tilePath,
  tileWidth,
} from "@weighlock/tlog"

import { openTrust } from "../config.ts"
import { RegistryError } from "../errors.ts"
import { makeFolder, syncFolder } from "../store/durable.ts"
import { SqliteLedger } from "../store/ledger-sqlite.ts"
import type { BlobFacts, LogHead, NewEntry, NewManifest } from "../store/ledger.ts"
import { BlobCopier } from "./blob-copier.ts"
import { CheckpointCopy } from "./checkpoint-copy.ts"
import { keysOf } from "./examine/history.ts"
import { grow } from "./log.ts"
import { proveStart } from "./start-proof.ts"
import { TreeNodes } from "./tree-nodes.ts"

export interface RebuildOptions {
  /** A folder with `checkpoint`, `tile/` and `payload/`. */
  readonly source: string
  /** The folder to make: absent, or without a ledger. */
  readonly data: string
  /** The trust root's envelope, or the path of the file. */
  readonly trust: string | Uint8Array
  /** A data folder, or its `blobs`: copied as far as their digests hold. */
  readonly blobs?: string
  /** By default `checkpoint` in the data folder. */
  readonly checkpointCopy?: string
}

export interface Rebuilt {
  readonly size: number
  /** base64 */
  readonly root: string
  readonly versions: number
  readonly missingBlobs: readonly string[]
}

export type RebuildProgress = (progress: { readonly entries: number; readonly of: number }) => void

/** Throws USAGE (no such source, a folder in use), STORE_FAILED (the source is not what the log signed). */
export async function rebuild(options: RebuildOptions, onProgress?: RebuildProgress): Promise<Rebuilt> {
  const { source, data, checkpointCopy = join(data, "checkpoint") } = options
  const trustChain = await openTrust(options.trust)
  const { checkpoint, note } = await openSource(source, trustChain)
  await makeFolder(data)
  if ((await readdir(data)).includes("ledger.sqlite")) {
    throw new RegistryError("USAGE", `${data} has a ledger already`, { hint: "rebuild into an empty folder" })
  }
  const path = join(data, "ledger.sqlite.rebuilding")
  await removeLedger(path)
  const ledger = new SqliteLedger(path)
  try {
    const rebuilding = new Rebuilding(ledger, trustChain, source, await BlobCopier.open(options.blobs, data))
    await rebuilding.run(checkpoint, note, onProgress)
    if ((await CheckpointCopy.read(checkpointCopy)) === null) await writeCopy(checkpointCopy, note)
    await proveStart({ rows: ledger.rows(), trustChain, copy: checkpointCopy }) // a copy that knows more entries refuses
    await ledger.close()
    await rename(path, join(data, "ledger.sqlite"))
    await syncFolder(data)
    return { size: checkpoint.size, root: encodeBase64(checkpoint.root), ...rebuilding.counts() }
  } catch (error) {
    await ledger.close()
    await removeLedger(path)
    throw error
  }
}

async function writeCopy(path: string, note: string): Promise<void> {
  const copy = await CheckpointCopy.open(path, null)
  await copy.write(note)
  await copy.close()
}

async function removeLedger(path: string): Promise<void> {
  for (const suffix of ["", "-wal", "-shm"]) await rm(path + suffix, { force: true })
}

/** The checkpoint as the log itself signed it, without what witnesses added. */
async function openSource(
  source: string,
  { current }: TrustChain,
): Promise<{ readonly checkpoint: Checkpoint; readonly note: string }> {
  const text = await readFile(join(source, "checkpoint"), "utf8").catch((cause: unknown) => {
    throw new RegistryError("USAGE", `${source} holds no checkpoint of a log`, { cause })
  })
  try {
    const checkpoint = openCheckpoint(text, current.log)
    const own = current.log.vkeys.map((vkey) => parseVkey(vkey)?.id)
    const { text: body, signatures } = parseNote(text)
    const signed = signatures.filter(({ name, id }) => name === current.log.origin && own.includes(id))
    return { checkpoint, note: formatNote({ text: body, signatures: signed }) }
  } catch (cause) {
    throw new RegistryError("STORE_FAILED", `the checkpoint in ${source} is not of ${current.log.origin}`, { cause })
  }
}

class Rebuilding {
  readonly #ledger: SqliteLedger
  readonly #source: string
  readonly #blobs: BlobCopier
  readonly #history: ReplayedHistory
  readonly #keys: ReadonlyMap<string, PublicKey>
  #versions = 0

  constructor(ledger: SqliteLedger, trustChain: TrustChain, source: string, blobs: BlobCopier) {
    this.#ledger = ledger
    this.#source = source
    this.#blobs = blobs
    this.#history = new ReplayedHistory(trustChain)
    this.#keys = keysOf(trustChain)
  }

  counts(): { readonly versions: number; readonly missingBlobs: readonly string[] } {
    return { versions: this.#versions, missingBlobs: this.#blobs.missing }
  }

  /** A tile's worth a commit; only the last one has a checkpoint, and only if the root is the one that was signed. */
  async run(checkpoint: Checkpoint, note: string, onProgress?: RebuildProgress): Promise<void> {
    const nodes = new TreeNodes(this.#ledger)
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

  /** With the blobs that they need recorded: in one transaction, as one a manifest would take as long as an fsync. */
  async #read(start: number, width: number): Promise<readonly NewEntry[]> {
    const path = tilePath({ level: "entries", index: start / tileWidth, width })
    const bytes = await this.#file(path)
    const leaves = broken(path, () => parseEntryBundle(bytes, width))
    const entries: NewEntry[] = []
    const blobs: BlobFacts[] = []
    for (const [at, leaf] of leaves.entries()) entries.push(await this.#entry(start + at, leaf, blobs))
    await this.#ledger.recordBlobs(blobs)
    for (const blob of blobs) await this.#blobs.copy(blob)
    return entries
  }

  async #entry(index: number, bytes: Uint8Array, blobs: BlobFacts[]): Promise<NewEntry> {
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
      ...(leaf.op === "publish" && { manifest: this.#manifest(opened, payload, blobs) }),
    }
  }

  /** The registry had proven its blobs when it logged this: their facts are in the signed manifest. */
  #manifest({ payload: { sha256 } }: OpenedEntry, payload: Uint8Array, blobs: BlobFacts[]): NewManifest {
    const { model, version, createdAt, resources } = parseStatement(payload)
    for (const { digest, size, parts } of resources) blobs.push({ sha256: digest, size, ...(parts && { parts }) })
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
