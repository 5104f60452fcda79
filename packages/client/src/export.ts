/**
 * A copy of the log that needs no registry: a tlog-tiles tree, which `audit` reads and any web server can serve.
 *
 *     <folder>/tile/entries/000 …      each bundle was proven to be the signed one before it was written
 *     <folder>/tile/0/000 …            computed from the entries
 *     <folder>/payload/sha256/<hex>    payloads that entries only name
 *     <folder>/checkpoint              last: everything it needs is there
 *
 * Running it again goes on where it stopped, and takes an older export of the same log further. A file is made once and
 * never changed; the checkpoint alone is replaced.
 */
import { mkdir } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { type Leaf, limits, ManifestError, parseLeaf, sha256Hex } from "@weighlock/manifest"
import { createFile, forEach, makeFolder, replaceFile, syncFolder } from "@weighlock/node"
import {
  encodeBase64,
  GrowingTree,
  type Hash,
  hashLeaf,
  openCheckpoint,
  parseEntryBundle,
  TlogError,
  type Tile,
  tilePath,
} from "@weighlock/tlog"
import { requireSignedBundle, TileCache } from "./audit/bundle-proof.ts"
import { readBounded } from "./audit/source.ts"
import { ClientError, codeOf, diskError } from "./errors.ts"
import { proveGrowth, requireNotShrunk } from "./growth.ts"
import { readHead } from "./log.ts"
import type { LogHead } from "./log-head.ts"
import { limitOf, payloadPath } from "./log-reader.ts"
import type { SignedCheckpoint } from "./seen.ts"
import { type ClientOptions, type Session, withSession } from "./session.ts"
import { requireQuorum, untilWitnessed } from "./witnessed.ts"

const width = 256
/** Bundles under way at once. */
const ahead = 8

export interface Exported {
  readonly folder: string
  readonly origin: string
  readonly size: number
  /** Base64. */
  readonly root: string
  /** That an earlier export did not have. */
  readonly entries: number
  /** Written now. */
  readonly files: number
}

/**
 * Throws ROLLBACK, LOG_INVALID, NOT_YET_WITNESSED; CONFLICT where the folder holds something else; TARGET_UNUSABLE,
 * NO_SPACE.
 */
export async function exportLog(folder: string, options: ClientOptions): Promise<Exported> {
  return await withSession(options, undefined, async (session) => {
    const head = await untilWitnessed(async () => requireQuorum(await readHead(session)), session.signal)
    try {
      return await new Export(folder, session, head).run()
    } catch (error) {
      if (error instanceof TlogError)
        throw new ManifestError("LOG_INVALID", `what the log serves is not what it signed: ${error.message}`, {
          cause: error,
          hint: "weighlock audit says where; what was written so far is sound",
        })
      throw diskError(error, "TARGET_UNUSABLE", folder)
    }
  })
}

class Export {
  readonly #folder: string
  readonly #session: Session
  readonly #head: LogHead
  readonly #tiles: TileCache
  readonly #tree = new GrowingTree()
  /** Hashes of the tiles above level 0 since the last full one, by level. */
  readonly #unfinished: Hash[][] = []
  readonly #folders = new Set<string>()
  #files = 0

  constructor(folder: string, session: Session, head: LogHead) {
    this.#folder = resolve(folder)
    this.#session = session
    this.#head = head
    this.#tiles = new TileCache(session.log)
  }

  async run(): Promise<Exported> {
    const { checkpoint, note } = this.#head
    const { origin, size, root } = checkpoint
    const before = await this.#before()
    for await (const { leaves } of this.#blocks(size)) {
      for (const leaf of leaves) this.#append(leaf)
      for (const [level, hashes] of this.#unfinished.entries())
        if (level > 0 && hashes.length === width) await this.#closeTile(level)
      this.#session.onProgress({ phase: "export", unit: "entries", done: this.#tree.size, total: size })
    }
    for (const [level, hashes] of this.#unfinished.entries())
      if (level > 0 && hashes.length > 0) await this.#closeTile(level)
    for (const folder of this.#folders) await syncFolder(folder)
    await replaceFile(join(this.#folder, "checkpoint"), note, { mode: 0o644 })
    return {
      folder: this.#folder,
      origin,
      size,
      root: encodeBase64(root),
      entries: size - before,
      files: this.#files,
    }
  }

  /** How many entries an earlier export has; it must be of this log, and the log must have grown out of it. */
  async #before(): Promise<number> {
    const path = join(this.#folder, "checkpoint")
    const bytes = await readBounded(path, limits.checkpoint).catch((error: unknown) => {
      if (codeOf(error) === "NOT_FOUND") return null
      throw error
    })
    if (bytes === null) return 0
    const before = this.#openOwn(Buffer.from(bytes).toString(), path)
    await requireNotShrunk(this.#session, before, this.#head)
    await proveGrowth(this.#session, before, this.#head)
    return before.checkpoint.size
  }

  #openOwn(note: string, path: string): SignedCheckpoint {
    try {
      return { checkpoint: openCheckpoint(note, this.#session.trustChain.current.log), note }
    } catch (cause) {
      throw conflict(path, cause)
    }
  }

  /** Whole bundles, in order, a few under way at once, each proven and on disk. */
  async *#blocks(size: number): AsyncGenerator<{ readonly leaves: readonly Hash[] }> {
    const underWay: Promise<{ readonly leaves: readonly Hash[] }>[] = []
    for (let index = 0; index * width < size || underWay.length > 0; index++) {
      if (index * width < size) {
        const block = this.#block({ level: "entries", index, width: Math.min(width, size - index * width) })
        block.catch(() => undefined)
        underWay.push(block)
      }
      if (underWay.length < ahead && (index + 1) * width < size) continue
      const first = underWay.shift()
      if (first !== undefined) yield await first
    }
  }

  async #block(tile: Tile): Promise<{ readonly leaves: readonly Hash[] }> {
    const path = tilePath(tile)
    const own = await this.#own(path, limitOf(path))
    const bytes = own ?? (await this.#session.log.read(path))
    const { entries, leaves } = await this.#open(tile, bytes).catch((cause: unknown) => {
      throw own === null || !(cause instanceof TlogError) ? cause : conflict(join(this.#folder, path), cause)
    })
    await forEach(entries, 4, (entry) => this.#payload(entry))
    await this.#write(path, bytes)
    await this.#write(tilePath({ ...tile, level: 0 }), Buffer.concat(leaves))
    return { leaves }
  }

  async #open(
    tile: Tile,
    bytes: Uint8Array,
  ): Promise<{ readonly entries: readonly Uint8Array[]; readonly leaves: readonly Hash[] }> {
    const entries = parseEntryBundle(bytes, tile.width)
    const leaves = entries.map(hashLeaf)
    await requireSignedBundle(this.#tiles, this.#head.checkpoint, tile.index, leaves)
    return { entries, leaves }
  }

  /** A payload that its entry only names; what is no leaf names none, and is for an audit to judge. */
  async #payload(entry: Uint8Array): Promise<void> {
    const leaf = leafOf(entry)
    if (leaf === null || leaf.payload.inline !== undefined) return
    const { sha256, size } = leaf.payload
    const path = payloadPath(sha256)
    if (size > limits.payload) return
    const own = await this.#own(path, limits.payload)
    if (own !== null && sha256Hex(own) !== sha256) throw conflict(join(this.#folder, path))
    if (own !== null) return
    const bytes = await this.#session.log.payload(sha256)
    if (sha256Hex(bytes) !== sha256) throw new TlogError("PROOF_INVALID", `${path} has the SHA-256 ${sha256Hex(bytes)}`)
    await this.#write(path, bytes)
  }

  #append(leaf: Hash): void {
    this.#tree.append(leaf, (level, _, hash) => {
      if (level > 0 && level % 8 === 0) (this.#unfinished[level / 8] ??= []).push(hash)
    })
  }

  async #closeTile(level: number): Promise<void> {
    const hashes = this.#unfinished[level] ?? []
    const index = Math.ceil(this.#tree.size / width ** (level + 1)) - 1
    await this.#write(tilePath({ level, index, width: hashes.length }), Buffer.concat(hashes))
    this.#unfinished[level] = []
  }

  /** What is in the folder under that name already. */
  async #own(path: string, limit: number): Promise<Uint8Array | null> {
    return await readBounded(join(this.#folder, path), limit).catch((error: unknown) => {
      if (codeOf(error) === "NOT_FOUND") return null
      throw error
    })
  }

  /** Equal is fine, different is not. */
  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const full = join(this.#folder, path)
    const folder = dirname(full)
    if (this.#folders.size === 0) await makeFolder(this.#folder, 0o755)
    if (!this.#folders.has(folder)) await mkdir(folder, { recursive: true })
    for (let one = folder; !this.#folders.has(one) && one.startsWith(this.#folder); one = dirname(one))
      this.#folders.add(one)
    if (await createFile(full, bytes, { mode: 0o644, folder: "later" })) this.#files++
    else if (!Buffer.from(await readBounded(full, bytes.length)).equals(bytes)) throw conflict(full)
  }
}

function leafOf(entry: Uint8Array): Leaf | null {
  try {
    return parseLeaf(entry)
  } catch {
    return null
  }
}

function conflict(path: string, cause?: unknown): ClientError {
  return new ClientError("CONFLICT", `${path} is there, and is not what the log has`, {
    cause,
    hint: "export to a new folder, or remove that file if it was torn",
  })
}
