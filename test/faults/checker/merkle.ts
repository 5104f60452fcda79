/**
 * RFC 6962 once more, from the text and in the simplest way: a second opinion that shares nothing with `@weighlock/tlog`.
 *
 *     leaf = sha256(00 ‖ entry)     node = sha256(01 ‖ left ‖ right)     root of n = node(root of 2^k first, root of the rest)
 */
import { createHash } from "node:crypto"

export type Hash = string // hex: equal is ===

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(part)
  return hash.digest()
}
const leafMark = Uint8Array.of(0)
const nodeMark = Uint8Array.of(1)
const emptyRoot = sha256()

export const hashEntry = (entry: Uint8Array): Buffer => sha256(leafMark, entry)
export const hashPair = (left: Uint8Array, right: Uint8Array): Buffer => sha256(nodeMark, left, right)

/** A tree that only grows; it keeps the roots of its full subtrees, largest first (one per bit of the size). */
export class Tree {
  size = 0
  #full: Buffer[] = []

  append(entry: Uint8Array): void {
    let hash = hashEntry(entry)
    // As many full subtrees end here as the old size has trailing ones.
    for (let rest = this.size; rest % 2 === 1; rest = (rest - 1) / 2) {
      const left = this.#full.pop()
      if (!left) throw new Error("a tree that lost its subtrees")
      hash = hashPair(left, hash)
    }
    this.#full.push(hash)
    this.size += 1
  }

  root(): Hash {
    const root = this.#full.reduceRight<Buffer | null>((right, left) => (right ? hashPair(left, right) : left), null)
    return (root ?? emptyRoot).toString("hex")
  }
}

/** The root that an inclusion proof leads to (RFC 9162 §2.1.3.2); null when the proof has the wrong length. */
export function rootOfProof(entry: Uint8Array, index: number, size: number, proof: readonly Uint8Array[]): Hash | null {
  if (index < 0 || index >= size) return null
  let [node, last, hash] = [index, size - 1, hashEntry(entry)]
  for (const sibling of proof) {
    if (last === 0) return null
    if (node % 2 === 1 || node === last) {
      hash = hashPair(sibling, hash)
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)]
    } else {
      hash = hashPair(hash, sibling)
    }
    ;[node, last] = [Math.floor(node / 2), Math.floor(last / 2)]
  }
  return last === 0 ? hash.toString("hex") : null
}
