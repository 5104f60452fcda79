/**
 * The hashes of a log's Merkle tree (RFC 6962 §2.1), with SHA-256.
 *
 *     leaf = SHA-256(0x00 || entry)     node = SHA-256(0x01 || left || right)     empty tree = SHA-256("")
 *
 * node:crypto hashes where it exists, @noble/hashes elsewhere; both give the same (tested).
 */
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js"
import { malformed } from "./errors.ts"
import { nodeCrypto } from "./node-crypto.ts"

/** 32 bytes. Never written to once made: trees and proofs share them. */
export type Hash = Uint8Array

export const hashLength = 32

const nodeHash = nodeCrypto?.hash
const sha256: (data: Uint8Array) => Hash =
  nodeHash === undefined ? nobleSha256 : (data) => fromLatin1(nodeHash("sha256", data, "latin1"))

// Half the time of asking for a Buffer, and 32 bytes made here live in the JavaScript heap: no allocation of their own.
function fromLatin1(digest: string): Hash {
  const hash = new Uint8Array(hashLength)
  for (let at = 0; at < hashLength; at++) hash[at] = digest.charCodeAt(at)
  return hash
}

// One-shot hashing wants one piece. Nothing here awaits, so the scratch is never shared by two calls.
let leafScratch = new Uint8Array(4096)
const childrenScratch = new Uint8Array(1 + 2 * hashLength).fill(1, 0, 1)

export function hashLeaf(entry: Uint8Array): Hash {
  if (entry.length >= leafScratch.length) leafScratch = new Uint8Array(2 * entry.length)
  leafScratch.set(entry, 1)
  return sha256(leafScratch.subarray(0, 1 + entry.length))
}

/** Of two 32-byte hashes; `MALFORMED` for others, so that no two inputs share one concatenation. */
export function hashChildren(left: Hash, right: Hash): Hash {
  if (left.length !== hashLength || right.length !== hashLength) throw malformed("a tree node hash has 32 bytes")
  childrenScratch.set(left, 1)
  childrenScratch.set(right, 1 + hashLength)
  return sha256(childrenScratch)
}

export function emptyRoot(): Hash {
  return sha256(new Uint8Array(0))
}

export function equalHashes(a: Hash, b: Hash): boolean {
  if (a.length !== hashLength || b.length !== hashLength) return false
  for (let at = 0; at < hashLength; at++) if (a[at] !== b[at]) return false
  return true
}
