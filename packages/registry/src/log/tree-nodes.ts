/**
 * The hashes of the log's tree, for proofs and tiles without hashing anything twice.
 *
 * A tile of 256 hashes is kept together with the 254 nodes above them, so that a proof is a handful of copies:
 *
 *     level of the tile:  0 | 256 leaf hashes, 128 nodes over two, 64 over four … 2 over 128        = 510 hashes, 16 KiB
 *                         1 | 256 roots of full tiles of level 0, 128 over two …
 *
 * The last tile of each level grows and stays here; full ones come from the ledger and go when others are asked for more.
 */
import { type Hash, type NodeId, type NodeReader, hashChildren, tileWidth } from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import type { LogEntry, LogStore } from "../store/ledger.ts"

export interface TreeNode extends NodeId {
  readonly hash: Hash
}

interface Growing {
  n: number
  readonly hashes: Uint8Array<ArrayBuffer>
  /** How many of the tile's own hashes are there. */
  width: number
}

const hashLength = 32
const slots = 510
/** 16 MiB of full tiles. */
const keptTiles = 1024

export class TreeNodes {
  readonly #store: Pick<LogStore, "tile">
  readonly #growing = new Map<number, Growing>()
  /** By `keyOf`; the least recently used first. */
  readonly #full = new Map<number, Uint8Array>()

  constructor(store: Pick<LogStore, "tile">) {
    this.#store = store
  }

  /** Reads back the growing tiles of a log of `size`. STORE_FAILED where a full tile is absent. */
  static async open(store: Pick<LogStore, "tile" | "entries">, size: number): Promise<TreeNodes> {
    const nodes = new TreeNodes(store)
    const start = size - (size % tileWidth)
    nodes.#begin(0, start / tileWidth, await leafHashes(store, start, size))
    for (
      let level = 1, count = Math.floor(size / tileWidth);
      count > 0;
      level++, count = Math.floor(count / tileWidth)
    ) {
      const roots: Hash[] = []
      const first = count - (count % tileWidth)
      for (let n = first; n < count; n++) roots.push(await nodes.#rootOfTile(level - 1, n))
      nodes.#begin(level, first / tileWidth, roots)
    }
    return nodes
  }

  #begin(level: number, n: number, hashes: readonly Hash[]): void {
    const tile = { n, hashes: new Uint8Array(slots * hashLength), width: 0 }
    for (const [at, hash] of hashes.entries()) putAndHash(tile.hashes, at, hash)
    tile.width = hashes.length
    this.#growing.set(level, tile)
  }

  async #rootOfTile(level: number, n: number): Promise<Hash> {
    const tile = await this.#loadFull(level, n)
    return hashChildren(slot(tile, slots - 2), slot(tile, slots - 1))
  }

  /** Nodes that a commit completed, in the order in which they were. */
  add(nodes: readonly TreeNode[]): void {
    for (const { level, index, hash } of nodes) {
      const at = placeOf(level, index)
      let tile = this.#growing.get(at.level)
      if (tile?.n !== at.n) {
        if (tile) this.#keep(keyOf(at.level, tile.n), tile.hashes)
        tile = { n: at.n, hashes: new Uint8Array(slots * hashLength), width: 0 }
        this.#growing.set(at.level, tile)
      }
      tile.hashes.set(hash, at.slot * hashLength)
      if (level % 8 === 0) tile.width += 1
    }
  }

  /** Brings the tiles of these nodes into memory; `null` when they are there already. */
  load(nodes: readonly NodeId[]): Promise<void> | null {
    const absent = nodes
      .map(({ level, index }) => placeOf(level, index))
      .filter(({ level, n }) => !this.#inMemory(level, n))
    return absent.length === 0 ? null : this.#loadAll(absent)
  }

  async #loadAll(places: readonly { readonly level: number; readonly n: number }[]): Promise<void> {
    for (const { level, n } of places) if (!this.#inMemory(level, n)) await this.#loadFull(level, n)
  }

  /** Of a complete subtree whose tile is in memory. The hash is a view: nobody writes to it. */
  readonly read: NodeReader = (level, index) => {
    const at = placeOf(level, index)
    const tile = this.#inMemory(at.level, at.n)
    if (!tile) throw new RegistryError("STORE_FAILED", `tile ${at.level}/${at.n} of the log is not in memory`)
    return slot(tile, at.slot)
  }

  /** The first `width` hashes of a tile; `null` when the log does not have as many. */
  async tile(level: number, n: number, width: number): Promise<Uint8Array | null> {
    const growing = this.#growing.get(level)
    if (growing?.n === n) return width <= growing.width ? growing.hashes.slice(0, width * hashLength) : null
    const full = (await this.#store.tile(level, n)) ?? null
    return full && full.subarray(0, width * hashLength)
  }

  #inMemory(level: number, n: number): Uint8Array | undefined {
    const growing = this.#growing.get(level)
    return growing?.n === n ? growing.hashes : this.#full.get(keyOf(level, n))
  }

  async #loadFull(level: number, n: number): Promise<Uint8Array> {
    const stored = await this.#store.tile(level, n)
    if (!stored) throw new RegistryError("STORE_FAILED", `tile ${level}/${n} of the log is absent`)
    const hashes = new Uint8Array(slots * hashLength)
    for (let at = 0; at < tileWidth; at++) putAndHash(hashes, at, stored.slice(at * hashLength, (at + 1) * hashLength))
    this.#keep(keyOf(level, n), hashes)
    return hashes
  }

  #keep(key: number, tile: Uint8Array): void {
    this.#full.delete(key)
    this.#full.set(key, tile)
    const oldest = this.#full.size > keptTiles ? this.#full.keys().next().value : undefined
    if (oldest !== undefined) this.#full.delete(oldest)
  }
}

/** Where a node is: which tile, and which of its 510 hashes. */
function placeOf(level: number, index: number): { readonly level: number; readonly n: number; readonly slot: number } {
  const inside = level % 8
  const width = tileWidth >> inside
  const n = Math.floor(index / width)
  return { level: (level - inside) / 8, n, slot: firstSlot(inside) + (index - n * width) }
}

const firstSlot = (inside: number): number => 512 - (512 >> inside)
const keyOf = (level: number, n: number): number => level * 2 ** 48 + n
const slot = (tile: Uint8Array, at: number): Hash => tile.subarray(at * hashLength, (at + 1) * hashLength)

/** Puts a tile's next hash and every node that it completes below the tile's root. */
function putAndHash(tile: Uint8Array, at: number, hash: Hash): void {
  tile.set(hash, at * hashLength)
  for (let inside = 1, index = at; inside < 8 && index % 2 === 1; inside++) {
    index = (index - 1) / 2
    const children = firstSlot(inside - 1) + 2 * index
    tile.set(hashChildren(slot(tile, children), slot(tile, children + 1)), (firstSlot(inside) + index) * hashLength)
  }
}

async function leafHashes(store: Pick<LogStore, "entries">, start: number, end: number): Promise<Hash[]> {
  const entries: readonly LogEntry[] = await store.entries(start, end)
  return entries.map(({ hash }) => hash)
}
