/**
 * The Merkle tree of RFC 6962 §2.1 as its text defines it: recursive, over all leaves, with nothing of ours in it.
 * What the tests of packages/tlog hold the real one against.
 */
import { createHash } from "node:crypto"

export function naiveLeaf(entry: Uint8Array): Uint8Array {
  return sha256(Uint8Array.of(0), entry)
}

export function naiveRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256()
  if (leaves.length === 1) return leaves[0]!
  const k = splitOf(leaves.length)
  return sha256(Uint8Array.of(1), naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)))
}

/** PATH(m, D[n]) */
export function naiveInclusion(m: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (leaves.length <= 1) return []
  const k = splitOf(leaves.length)
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)]
  return m < k ? [...naiveInclusion(m, left), naiveRoot(right)] : [...naiveInclusion(m - k, right), naiveRoot(left)]
}

/** PROOF(m, D[n]) */
export function naiveConsistency(m: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  return m === 0 || m === leaves.length ? [] : subproof(m, leaves, true)
}

function subproof(m: number, leaves: readonly Uint8Array[], whole: boolean): Uint8Array[] {
  if (m === leaves.length) return whole ? [] : [naiveRoot(leaves)]
  const k = splitOf(leaves.length)
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)]
  return m <= k ? [...subproof(m, left, whole), naiveRoot(right)] : [...subproof(m - k, right, false), naiveRoot(left)]
}

function splitOf(count: number): number {
  let k = 1
  while (k * 2 < count) k *= 2
  return k
}

function sha256(...pieces: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256")
  for (const piece of pieces) hash.update(piece)
  return new Uint8Array(hash.digest())
}
