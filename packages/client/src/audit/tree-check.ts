/**
 * Rebuilds the log's tree from its entries and compares every hash tile on the way. Where a bundle and its tile disagree,
 * the tile above says which of them was logged, so that the rest of the tree can still be judged.
 *
 *     entries of block 3 -> 256 leaf hashes  ==  tile/0/003
 *                           their subtree    ==  hash 3 of tile/1/000        … up to the root of the checkpoint
 */
import { equalHashes, GrowingTree, type Hash, hashChildren, type Tile, tilePath } from "@weighlock/tlog"
import type { Findings } from "./finding.ts"

const width = 256
const hashLength = 32

/** Reads a tile; `null` when it is not there, or is none. */
export type ReadTile = (tile: Tile) => Promise<Uint8Array | null>

export class TreeCheck {
  readonly #size: number
  readonly #root: Hash | null
  readonly #read: ReadTile
  readonly #findings: Findings
  /** Sizes whose root somebody wants to know, ascending. */
  readonly #marks: readonly number[]
  #nextMark = 0
  #holds = false
  readonly #roots = new Map<number, Hash>()
  #tree: GrowingTree | null = new GrowingTree()
  /** By tile level, the hashes since the last full tile of that level. */
  readonly #open: Hash[][] = []
  readonly #full: { level: number; index: number; hashes: readonly Hash[] }[] = []
  #parent: { index: number; bytes: Uint8Array | null } | null = null

  /** `root` of the checkpoint, if there is one to compare with. */
  constructor(size: number, root: Hash | null, read: ReadTile, findings: Findings, marks: Iterable<number> = []) {
    this.#size = size
    this.#root = root
    this.#read = read
    this.#findings = findings
    this.#marks = [...new Set(marks)].filter((mark) => mark <= size).toSorted((a, b) => a - b)
    this.#noteMarks()
  }

  /**
   * The leaf hashes of block `index` as its bundle has them, or `null` when there is no bundle. Blocks come in order.
   * Returns the hashes that were logged, as far as can be told; an entry with another hash is not what was logged.
   */
  async block(index: number, leaves: readonly Hash[] | null): Promise<readonly Hash[] | null> {
    const count = Math.min(width, this.#size - index * width)
    const tile: Tile = { level: 0, index, width: count }
    const served = await this.#tileHashes(tile)
    const logged = await this.#choose(tile, leaves, served)
    if (logged !== null) this.#append(logged)
    else await this.#skip(index, count)
    await this.#compareFull()
    return logged
  }

  /**
   * Compares what is left. Whether all of it leads to the signed root: only then is what was read what the log says, and
   * what is damaged a file.
   */
  async finish(): Promise<boolean> {
    for (const [level, hashes] of this.#open.entries()) {
      if (level > 0 && hashes.length > 0)
        await this.#compare(level, Math.floor(this.#size / width ** (level + 1)), hashes)
    }
    const root = this.#tree?.root() ?? null
    if (root !== null && this.#root !== null && !equalHashes(root, this.#root))
      this.#findings.log("root", `the ${this.#size} entries do not hash to the checkpoint's root`)
    if (root === null)
      this.#findings.log(
        "root",
        "the root of all entries cannot be computed: neither bundle nor tile of a block is there",
      )
    this.#holds = root !== null && this.#root !== null && equalHashes(root, this.#root)
    return this.#holds
  }

  /** The log's root when it had `size` entries, after `finish`; `null` where that could not be computed. */
  rootAt(size: number): Hash | null {
    if (size === this.#size) return this.#root
    return this.#holds ? (this.#roots.get(size) ?? null) : null
  }

  async #choose(
    tile: Tile,
    leaves: readonly Hash[] | null,
    served: readonly Hash[] | null,
  ): Promise<readonly Hash[] | null> {
    if (leaves === null || served === null) return leaves ?? served
    const other = leaves.findIndex((leaf, at) => !equalHashes(leaf, served[at] as Hash))
    if (other < 0) return leaves
    const index = tile.index * width + other
    if (await this.#wasLogged(tile, served)) {
      for (const [at, leaf] of leaves.entries())
        if (!equalHashes(leaf, served[at] as Hash))
          this.#findings.log("bundle", "this is not the entry that was logged", {
            index: tile.index * width + at,
            path: tilePath({ ...tile, level: "entries" }),
          })
      return served
    }
    this.#findings.log("tile", `its hash of entry ${index} is not that of the entry`, { index, path: tilePath(tile) })
    return leaves
  }

  /** Whether these hashes are what the tile above, or for the last block the checkpoint, names. */
  async #wasLogged(tile: Tile, hashes: readonly Hash[]): Promise<boolean> {
    if (tile.width < width) {
      const tree = this.#tree?.copy()
      for (const hash of hashes) tree?.append(hash)
      return tree !== undefined && this.#root !== null && equalHashes(tree.root(), this.#root)
    }
    const above = await this.#above(tile.index)
    return above !== null && equalHashes(subtree(hashes), above)
  }

  /** The hash that the served tile above has for a full block. */
  async #above(index: number): Promise<Hash | null> {
    const parent = Math.floor(index / width)
    if (this.#parent?.index !== parent) {
      const count = Math.min(width, Math.floor(this.#size / width) - parent * width)
      this.#parent = { index: parent, bytes: await this.#read({ level: 1, index: parent, width: count }) }
    }
    const at = (index % width) * hashLength
    const hash = this.#parent.bytes?.slice(at, at + hashLength)
    return hash?.length === hashLength ? hash : null
  }

  #append(leaves: readonly Hash[]): void {
    for (const leaf of leaves) {
      this.#tree?.append(leaf, (level, index, hash) => this.#completed(level, index, hash))
      this.#noteMarks()
    }
  }

  #noteMarks(): void {
    if (this.#tree === null) return
    const { size } = this.#tree
    while ((this.#marks[this.#nextMark] ?? Number.POSITIVE_INFINITY) < size) this.#nextMark++
    if (this.#marks[this.#nextMark] === size) this.#roots.set(size, this.#tree.root())
  }

  #completed(level: number, index: number, hash: Hash): void {
    if (level === 0 || level % 8 !== 0) return
    const tileLevel = level / 8
    const hashes = (this.#open[tileLevel] ??= [])
    hashes.push(hash)
    if (hashes.length < width) return
    this.#full.push({ level: tileLevel, index: Math.floor(index / width), hashes })
    this.#open[tileLevel] = []
  }

  /** A full block of which nothing is there: the tile above stands for it. */
  async #skip(index: number, count: number): Promise<void> {
    const above = count === width ? await this.#above(index) : null
    if (above === null || this.#tree === null) this.#tree = null
    else this.#tree = withSubtree(this.#tree, above, (level, at, hash) => this.#completed(level, at, hash))
  }

  async #compareFull(): Promise<void> {
    for (const { level, index, hashes } of this.#full.splice(0)) await this.#compare(level, index, hashes)
  }

  async #compare(level: number, index: number, hashes: readonly Hash[]): Promise<void> {
    const tile: Tile = { level, index, width: hashes.length }
    const served = await this.#tileHashes(tile)
    const at = served?.findIndex((hash, position) => !equalHashes(hash, hashes[position] as Hash)) ?? -1
    if (at < 0) return
    this.#findings.log("tile", `its hash ${at} is not that of what is below it`, { path: tilePath(tile) })
  }

  async #tileHashes(tile: Tile): Promise<readonly Hash[] | null> {
    const bytes = await this.#read(tile)
    if (bytes === null) return null
    return Array.from({ length: tile.width }, (_, at) => bytes.subarray(at * hashLength, (at + 1) * hashLength))
  }
}

function subtree(hashes: readonly Hash[]): Hash {
  const tree = new GrowingTree()
  for (const hash of hashes) tree.append(hash)
  return tree.root()
}

/** The tree, whose size is whole blocks, with one more block of which only the root is known. */
export function withSubtree(
  tree: GrowingTree,
  root: Hash,
  completed: (level: number, index: number, hash: Hash) => void,
): GrowingTree {
  const peaks = tree.peaks()
  let [level, index, hash] = [8, tree.size / width, root]
  completed(level, index, hash)
  for (; index % 2 === 1; index = (index - 1) / 2) {
    hash = hashChildren(peaks.pop() as Hash, hash)
    completed(++level, (index - 1) / 2, hash)
  }
  return new GrowingTree(tree.size + width, [...peaks, hash])
}
