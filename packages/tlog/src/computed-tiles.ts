/** The hash tiles above level 0 as they follow from the leaves, collected while a tree grows; memory for one tile a level. */
import type { Hash } from "./hash.ts"
import { type Tile, tileWidth } from "./tile.ts"

export interface ComputedTile {
  readonly tile: Tile
  /** `null` for those that were there before the tree began to grow. */
  readonly hashes: readonly (Hash | null)[]
}

export class ComputedTiles {
  readonly #start: number
  /** By tile level; 0 stays empty. */
  readonly #open: { readonly index: number; readonly hashes: (Hash | null)[] }[] = []
  #full: ComputedTile[] = []

  /** `start`: the size of the tree before it grows. */
  constructor(start: number) {
    this.#start = start
  }

  /** To be told of every node that the growing tree completes. */
  add(nodeLevel: number, nodeIndex: number, hash: Hash): void {
    if (nodeLevel === 0 || nodeLevel % 8 !== 0) return
    const level = nodeLevel / 8
    const index = Math.floor(nodeIndex / tileWidth)
    if (this.#open[level]?.index !== index) this.#open[level] = { index, hashes: this.#before(level, index) }
    const { hashes } = this.#open[level] as { hashes: (Hash | null)[] }
    hashes.push(hash)
    if (hashes.length === tileWidth) this.#full.push({ tile: { level, index, width: tileWidth }, hashes })
  }

  /** The tiles that have become full since the last call. */
  takeFull(): ComputedTile[] {
    const full = this.#full
    if (full.length > 0) this.#full = []
    return full
  }

  /** The partial tiles at the size reached, those of them that hold anything new. */
  partial(): ComputedTile[] {
    return this.#open.flatMap(({ index, hashes }, level) => {
      const width = hashes.length
      return width < tileWidth ? [{ tile: { level, index, width }, hashes }] : []
    })
  }

  #before(level: number, index: number): null[] {
    const known = Math.floor(this.#start / tileWidth ** level) - index * tileWidth
    return Array.from({ length: Math.max(0, known) }, () => null)
  }
}
