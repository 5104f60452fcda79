/**
 * The tree of a log: roots, inclusion and consistency proofs (RFC 6962 §2.1), made and verified.
 *
 *     size 7          root                    node (level, index) is the root of the complete subtree over the leaves
 *                   /      \                  [index·2^level, (index+1)·2^level), here (2,0), (1,2) and (0,6) for the
 *              (2,0)        *                 root. The subtree * is not complete: it is made of (1,2) and (0,6) and
 *             /    \      /   \               changes when the log grows, complete ones never do.
 *          (1,0) (1,1)  (1,2) (0,6)
 *          0   1  2   3  4  5   6             inclusion proof of 5: (0,4), (0,6), (2,0)
 *
 * What is only made here (by reading nodes) proves nothing; what a `verify…` lets through does.
 */
import { requireCount, TlogError } from "./errors.ts"
import { emptyRoot, equalHashes, type Hash, hashChildren, hashLength } from "./hash.ts"

export interface NodeId {
  readonly level: number
  readonly index: number
}

export type NodeReader = (level: number, index: number) => Hash

export interface TreeHead {
  readonly size: number
  readonly root: Hash
}

/** The leaves [start, end) of one subtree of a tree, complete or not. */
interface Range {
  readonly start: number
  readonly end: number
}

/** One step of a walk from the root down: the subtree beside the path, and whether it lies to the left of it. */
interface Step {
  readonly sibling: Range
  readonly left: boolean
}

/** The complete subtrees that a tree of `size` leaves is made of, left to right, the largest first. */
export function rootNodes(size: number): NodeId[] {
  requireCount(size, "tree size")
  return rangeNodes({ start: 0, end: size })
}

export function treeRoot(size: number, read: NodeReader): Hash {
  requireCount(size, "tree size")
  return size === 0 ? emptyRoot() : rangeHash({ start: 0, end: size }, read)
}

/** What `inclusionProof` will read. */
export function inclusionNodes(index: number, size: number): NodeId[] {
  return inclusionSteps(index, size).flatMap(({ sibling }) => rangeNodes(sibling))
}

/** From the leaf's sibling up to the root's child, as RFC 6962 §2.1.1 orders them. */
export function inclusionProof(index: number, size: number, read: NodeReader): Hash[] {
  return inclusionSteps(index, size).map(({ sibling }) => rangeHash(sibling, read))
}

/** What `consistencyProof` will read. */
export function consistencyNodes(from: number, to: number): NodeId[] {
  return consistencyRanges(from, to).flatMap(rangeNodes)
}

/** In the order of RFC 6962 §2.1.2; empty from size 0 and between equal sizes. */
export function consistencyProof(from: number, to: number, read: NodeReader): Hash[] {
  return consistencyRanges(from, to).map((range) => rangeHash(range, read))
}

export interface Inclusion {
  readonly leaf: Hash
  readonly index: number
  readonly size: number
  readonly root: Hash
  readonly proof: readonly Hash[]
}

/** Returns iff `leaf` is the hash at `index` in the tree of `size` leaves with this root; else `PROOF_INVALID`. */
export function verifyInclusion({ leaf, index, size, root, proof }: Inclusion): void {
  const steps = inclusionSteps(index, size)
  if (proof.length !== steps.length)
    throw notIncluded(index, size, `${steps.length} hashes make it, not ${proof.length}`)
  if (![leaf, root, ...proof].every(isHash)) throw notIncluded(index, size, "a hash has 32 bytes")
  let found = leaf
  for (const [at, { left }] of steps.entries()) {
    const sibling = proof[at] as Hash
    found = left ? hashChildren(sibling, found) : hashChildren(found, sibling)
  }
  if (!equalHashes(found, root)) throw notIncluded(index, size, "it leads to another root")
}

export interface Consistency {
  readonly from: TreeHead
  readonly to: TreeHead
  readonly proof: readonly Hash[]
}

/**
 * Returns iff the tree `to` begins with all leaves of the tree `from`. Else `SHRUNK` where `to` is the smaller and
 * `INCONSISTENT` for everything else; only for equal sizes does that alone show a fork, a proof may just be a wrong one.
 */
export function verifyConsistency({ from, to, proof }: Consistency): void {
  const { steps, seeded } = consistencySteps(from.size, to.size)
  if (![from.root, to.root, ...proof].every(isHash)) throw inconsistent(from, to, "a hash has 32 bytes")
  if (proof.length !== steps.length + (seeded ? 1 : 0)) throw inconsistent(from, to, "the proof has another length")
  if (from.size === 0) return requireEmptyRoot(from, to)
  let [before, after] = seeded ? [proof[0] as Hash, proof[0] as Hash] : [from.root, from.root]
  for (const [at, { left }] of steps.entries()) {
    const sibling = proof[at + (seeded ? 1 : 0)] as Hash
    if (left) before = hashChildren(sibling, before)
    after = left ? hashChildren(sibling, after) : hashChildren(after, sibling)
  }
  if (!equalHashes(before, from.root)) throw inconsistent(from, to, "the proof leads to another earlier root")
  if (!equalHashes(after, to.root)) throw inconsistent(from, to, "the proof leads to another later root")
}

// Every tree grows out of the empty one, but the empty one has one root only, whichever side it is on.
function requireEmptyRoot(from: TreeHead, to: TreeHead): void {
  if (!equalHashes(from.root, emptyRoot())) throw inconsistent(from, to, "the empty tree has another root")
  if (to.size === 0 && !equalHashes(to.root, from.root)) throw inconsistent(from, to, "one size, two roots")
}

function isHash(hash: Hash): boolean {
  return hash.length === hashLength
}

function notIncluded(index: number, size: number, why: string): TlogError {
  return new TlogError("PROOF_INVALID", `inclusion proof of entry ${index} in a tree of ${size}: ${why}`)
}

function inconsistent(from: TreeHead, to: TreeHead, why: string): TlogError {
  return new TlogError(
    "INCONSISTENT",
    `trees of ${from.size} and ${to.size} entries are not shown to be one log: ${why}`,
  )
}

/** Leaf first. */
function inclusionSteps(index: number, size: number): Step[] {
  requireCount(index, "entry index")
  requireCount(size, "tree size")
  if (index >= size) throw notIncluded(index, size, "there is no such entry")
  return walk(size, ({ start, end }, split) => (end - start === 1 ? null : index >= split)).steps
}

/** The deepest step first. `seeded`: the proof begins with the subtree that the walk ended at, unless that is all of `from`. */
function consistencySteps(from: number, to: number): { steps: Step[]; seeded: boolean; last: Range } {
  requireCount(from, "earlier tree size")
  requireCount(to, "later tree size")
  if (from > to) throw new TlogError("SHRUNK", `a log of ${from} entries cannot become one of ${to}`)
  if (from === 0) return { steps: [], seeded: false, last: { start: 0, end: 0 } }
  const { steps, last } = walk(to, ({ end }, split) => (end === from ? null : from > split))
  return { steps, seeded: last.start > 0, last }
}

function consistencyRanges(from: number, to: number): Range[] {
  const { steps, seeded, last } = consistencySteps(from, to)
  return [...(seeded ? [last] : []), ...steps.map(({ sibling }) => sibling)]
}

/** Down from the root: `right` says at each subtree, given where it splits, whether to go right, or `null` to end there. */
function walk(size: number, right: (range: Range, split: number) => boolean | null): { steps: Step[]; last: Range } {
  const steps: Step[] = []
  let last: Range = { start: 0, end: size }
  for (;;) {
    const split = last.start + splitOf(last.end - last.start)
    const turn = right(last, split)
    if (turn === null) return { steps: steps.reverse(), last }
    const [leftPart, rightPart] = [
      { start: last.start, end: split },
      { start: split, end: last.end },
    ] as const
    steps.push({ sibling: turn ? leftPart : rightPart, left: turn })
    last = turn ? rightPart : leftPart
  }
}

/** The largest power of two smaller than `count`; 0 for 0 and 1. */
function splitOf(count: number): number {
  return count < 2 ? 0 : 2 ** Math.floor(exactLog2(count - 1))
}

/** ⌊log2⌋ of a positive safe integer; `Math.log2` alone rounds 2^49 - 1 up, and is slow. */
function exactLog2(count: number): number {
  if (count < 2 ** 32) return 31 - Math.clz32(count)
  const guess = Math.round(Math.log2(count))
  return 2 ** guess > count ? guess - 1 : guess
}

function rangeNodes({ start, end }: Range): NodeId[] {
  const nodes: NodeId[] = []
  for (let at = start; at < end;) {
    const level = exactLog2(end - at)
    nodes.push({ level, index: at / 2 ** level })
    at += 2 ** level
  }
  return nodes
}

function rangeHash(range: Range, read: NodeReader): Hash {
  return rangeNodes(range)
    .map(({ level, index }) => read(level, index))
    .reduceRight((right, left) => hashChildren(left, right))
}
