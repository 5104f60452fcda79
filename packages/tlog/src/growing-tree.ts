/**
 * A tree that only grows: it keeps the roots of its complete subtrees (at most one a level), nothing else.
 *
 *     const tree = new GrowingTree()
 *     for (const entry of entries) tree.append(hashLeaf(entry))
 *     tree.root()
 */
import { malformed, TlogError } from "./errors.ts"
import { emptyRoot, type Hash, hashChildren, hashLength } from "./hash.ts"
import { rootNodes } from "./merkle.ts"

/** Called for every node that an appended leaf completes, itself first, then upwards. */
export type NodeCompleted = (level: number, index: number, hash: Hash) => void

export class GrowingTree {
  #size: number
  /** By level; one is there exactly where the binary digit of the size is 1, what lies in other places is left over. */
  readonly #peaks: Hash[]

  /** Of `size` leaves, given the hashes of `rootNodes(size)` in that order. */
  constructor(size = 0, peaks: readonly Hash[] = []) {
    const nodes = rootNodes(size)
    if (peaks.length !== nodes.length)
      throw malformed(`a tree of ${size} has ${nodes.length} peaks, not ${peaks.length}`)
    this.#size = size
    this.#peaks = Array.from({ length: (nodes[0]?.level ?? -1) + 1 }, emptyRoot)
    for (const [at, { level }] of nodes.entries()) {
      const peak = peaks[at] as Hash
      if (peak.length !== hashLength) throw malformed("a hash has 32 bytes")
      this.#peaks[level] = peak
    }
  }

  get size(): number {
    return this.#size
  }

  append(leaf: Hash, completed?: NodeCompleted): void {
    if (this.#size === Number.MAX_SAFE_INTEGER)
      throw new TlogError("UNSUPPORTED", "a log of more than 2^53 - 1 entries")
    if (leaf.length !== hashLength) throw malformed("a hash has 32 bytes")
    let node = leaf
    let level = 0
    let index = this.#size
    completed?.(level, index, node)
    for (; index % 2 === 1; index = (index - 1) / 2) {
      node = hashChildren(this.#peaks[level] as Hash, node)
      level += 1
      completed?.(level, (index - 1) / 2, node)
    }
    this.#peaks[level] = node
    this.#size += 1
  }

  root(): Hash {
    return this.#size === 0 ? emptyRoot() : this.peaks().reduceRight((right, left) => hashChildren(left, right))
  }

  /** The hashes of `rootNodes(size)`. */
  peaks(): Hash[] {
    return rootNodes(this.#size).map(({ level }) => this.#peaks[level] as Hash)
  }

  copy(): GrowingTree {
    return new GrowingTree(this.#size, this.peaks())
  }
}
