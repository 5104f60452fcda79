/**
 * What appending some leaves does to the tree: the nodes they complete, the tiles that become full, the next root. Nothing
 * is changed that others see; after the commit `TreeNodes.add` takes the nodes over.
 */
import { type GrowingTree, type Hash, type NodeReader, tileWidth } from "@weighlock/tlog"

import type { FullTile } from "../store/ledger.ts"
import type { TreeNode } from "./tree-nodes.ts"

export class Growth {
  readonly tree: GrowingTree
  readonly nodes: TreeNode[] = []
  readonly tiles: FullTile[] = []
  readonly #read: NodeReader
  /** Hashes of tiles (levels 0, 8, 16 …) that came new, by level and index. */
  readonly #fresh = new Map<number, Map<number, Hash>>()

  /** `read` answers the nodes of the growing tiles of `tree`, which is not changed. */
  constructor(tree: GrowingTree, read: NodeReader) {
    this.tree = tree.copy()
    this.#read = read
  }

  append(leaf: Hash): void {
    this.tree.append(leaf, (level, index, hash) => {
      this.nodes.push({ level, index, hash })
      if (level % 8 !== 0) return
      const fresh = this.#fresh.get(level) ?? new Map<number, Hash>()
      this.#fresh.set(level, fresh.set(index, hash))
      if (index % tileWidth === tileWidth - 1) this.tiles.push(this.#fullTile(level, index + 1 - tileWidth, fresh))
    })
  }

  /** A hash of a tile (level 0, 8, 16 …) that came new. */
  hash(level: number, index: number): Hash | undefined {
    return this.#fresh.get(level)?.get(index)
  }

  #fullTile(level: number, first: number, fresh: ReadonlyMap<number, Hash>): FullTile {
    const hashes = new Uint8Array(tileWidth * 32)
    for (let at = 0; at < tileWidth; at++) hashes.set(fresh.get(first + at) ?? this.#read(level, first + at), at * 32)
    return { level: level / 8, n: first / tileWidth, hashes }
  }
}
