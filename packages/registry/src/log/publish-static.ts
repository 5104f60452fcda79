/**
 * Publishes the log to a folder as static files, for any web server or bucket to serve (c2sp.org/tlog-tiles).
 *
 *     DIR/checkpoint                     replaced, last of all
 *     DIR/tile/0/000  DIR/tile/entries/000.p/8
 *     DIR/payload/sha256/6b86b273…
 *
 * Files are made once and never changed: the same again is fine, another is fatal. Everything a checkpoint needs is durable
 * before the checkpoint is there. The checkpoint in the folder says how far it is, so a stopped registry goes on from there.
 */
import { readFile, rm } from "node:fs/promises"
import { dirname, join } from "node:path"

import { parseLeaf } from "@weighlock/manifest"
import { createFile, makeFolder, replaceFile, syncFolder } from "@weighlock/node"
import {
  type Tile,
  openCheckpoint,
  parseEntryBundle,
  tilePath,
  tileWidth,
  tilesBetween,
  verifyConsistency,
} from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import type { LogReader } from "./reader.ts"
import type { ServedCheckpoint } from "./served.ts"

/** A web server of another user reads them. */
const forEveryone = 0o755

export interface StaticLogOptions {
  readonly folder: string
  readonly reader: LogReader
  readonly log: { readonly origin: string; readonly vkeys: readonly string[] }
}

export class StaticLog {
  readonly #options: StaticLogOptions
  #size: number
  #note: string

  private constructor(options: StaticLogOptions, size: number, note: string) {
    this.#options = options
    this.#size = size
    this.#note = note
  }

  /** Throws USAGE when the folder holds another log, or a later state of this one. */
  static async open(options: StaticLogOptions): Promise<StaticLog> {
    const { folder, reader, log } = options
    await makeFolder(folder, forEveryone)
    const note = await readFile(join(folder, "checkpoint"), "utf8").catch(absent)
    if (note === null) return new StaticLog(options, 0, "")
    const { size, root } = openPublished(folder, note, log)
    const newest = reader.newest() // which readers may not be shown yet, or again
    try {
      verifyConsistency({ from: { size, root }, to: newest, proof: await reader.consistency(size, newest.size) })
    } catch (cause) {
      throw notThisLog(folder, `it holds ${size} entries that are not the beginning of this log`, cause)
    }
    return new StaticLog(options, size, note)
  }

  get size(): number {
    return this.#size
  }

  /** Brings the folder to this checkpoint; one that it has already changes nothing. */
  async publish({ size, note }: ServedCheckpoint): Promise<void> {
    if (size < this.#size || note === this.#note) return
    const { folder } = this.#options
    const tiles = tilesBetween(this.#size, size)
    const folders = new Set<string>()
    for (const tile of tiles) await this.#publishTile(tile, folders)
    for (const each of folders) await syncFolder(each)
    await replaceFile(join(folder, "checkpoint"), note, { mode: 0o644 })
    await this.#removePartial(tiles)
    this.#size = size
    this.#note = note
  }

  async #publishTile(tile: Tile, folders: Set<string>): Promise<void> {
    const path = tilePath(tile)
    const bytes = await this.#options.reader.tile(path)
    if (!bytes) throw new RegistryError("STORE_FAILED", `the log has no ${path}`)
    if (tile.level === "entries") await this.#publishPayloads(bytes, tile.width, folders)
    await createOnce(this.#options.folder, path, bytes, folders)
  }

  async #publishPayloads(bundle: Uint8Array, width: number, folders: Set<string>): Promise<void> {
    for (const entry of parseEntryBundle(bundle, width)) {
      const { inline, sha256 } = parseLeaf(entry).payload
      if (inline) continue
      const bytes = await this.#options.reader.payload(sha256)
      await createOnce(this.#options.folder, `payload/sha256/${sha256}`, bytes, folders)
    }
  }

  /** Partial tiles whose full tile is published: readers of an older checkpoint may ask for that instead. */
  async #removePartial(tiles: readonly Tile[]): Promise<void> {
    for (const tile of tiles) {
      if (tile.width === tileWidth)
        await rm(join(this.#options.folder, `${tilePath(tile)}.p`), { recursive: true, force: true })
    }
  }
}

function openPublished(folder: string, note: string, log: StaticLogOptions["log"]): { size: number; root: Uint8Array } {
  try {
    return openCheckpoint(note, log)
  } catch (cause) {
    throw notThisLog(folder, "its checkpoint is not of this log", cause)
  }
}

function notThisLog(folder: string, why: string, cause: unknown): RegistryError {
  const hint = "publish to an empty folder; never put two logs behind one URL"
  return new RegistryError("USAGE", `${folder} can't be published to: ${why}`, { cause, hint })
}

/** Durable once its folders are synced. Another content under the name is fatal: what was published never changes. */
async function createOnce(root: string, path: string, bytes: Uint8Array, folders: Set<string>): Promise<void> {
  const target = join(root, path)
  if (!folders.has(dirname(target))) await makeFolder(dirname(target), forEveryone)
  folders.add(dirname(target))
  if (await createFile(target, bytes, { mode: 0o644, folder: "later" })) return
  if (Buffer.compare(await readFile(target), bytes) !== 0)
    throw new RegistryError("STORE_FAILED", `${target} was published with another content`)
}

function absent(error: unknown): null {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return null
  throw error
}
