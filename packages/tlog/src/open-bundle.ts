/** One entry bundle of a log, hashed and held against the hash tile of the same entries. */
import { type LogSource, readNodes } from "./client.ts"
import { type Damage, damageAt, DamageError, firstDifference } from "./damage.ts"
import { readEntryBundle } from "./entry-bundle.ts"
import { GrowingTree } from "./growing-tree.ts"
import { type Hash, hashLeaf, hashLength } from "./hash.ts"
import { inclusionNodes, inclusionProof, type TreeHead, verifyInclusion } from "./merkle.ts"
import { type Tile, tilePath, tileWidth } from "./tile.ts"

export interface FetchedBundle {
  readonly tile: Tile
  readonly bytes: Uint8Array
  /** The level 0 tile of the same entries, where tiles are compared. */
  readonly hashes: Uint8Array | null
}

export async function fetchBundle(source: LogSource, tile: Tile, tiles: "compare" | "skip"): Promise<FetchedBundle> {
  const hashes = tiles === "compare" ? source.read(tilePath({ ...tile, level: 0 })) : null
  const [bytes, served] = await Promise.all([source.read(tilePath(tile)), hashes])
  return { tile, bytes, hashes: served }
}

export interface OpenedBundle {
  readonly entries: Uint8Array[]
  readonly leaves: Hash[]
  /** Of the hash tile, should the entries turn out to be the signed ones. */
  readonly damage: Damage | null
}

/** Throws a `DamageError` for entries that are not the ones under the root of `to`, as far as that can be told already. */
export async function openBundle(source: LogSource, bundle: FetchedBundle, to: TreeHead): Promise<OpenedBundle> {
  const { tile, bytes, hashes } = bundle
  const { entries, end } = readEntryBundle(bytes, tile.width)
  const leaves = entries.map(hashLeaf)
  if (entries.length < tile.width || end !== bytes.length) throw malformedBundle(tile, leaves, hashes)
  const difference = hashes === null ? null : firstDifference(leaves, hashes)
  if (hashes === null || difference === null) return { entries, leaves, damage: null }
  if (await isSigned(source, tile, hashes, to)) {
    throw new DamageError("PROOF_INVALID", damageAt(tile, difference), "not the entry that the log has signed")
  }
  return { entries, leaves, damage: damageAt({ ...tile, level: 0 }, difference) }
}

/** A changed length garbles what follows: the first entry with another hash is the one, else where the entries end. */
function malformedBundle(tile: Tile, leaves: readonly Hash[], hashes: Uint8Array | null): DamageError {
  const difference = hashes === null ? null : firstDifference(leaves, hashes.subarray(0, leaves.length * hashLength))
  const place = Math.min(difference ?? leaves.length, tile.width - 1)
  return new DamageError("MALFORMED", damageAt(tile, place), `not a bundle of ${tile.width} entries`)
}

/**
 * Whether these leaf hashes are the ones under the signed root; also `false` where the other tiles do not tell. A bundle
 * is a leaf of the tree of all bundles, which is the upper part of the tree of all entries.
 */
async function isSigned(source: LogSource, { index, width }: Tile, hashes: Uint8Array, to: TreeHead): Promise<boolean> {
  if (hashes.length !== width * hashLength) return false
  const bundle = new GrowingTree()
  for (let at = 0; at < hashes.length; at += hashLength) bundle.append(hashes.slice(at, at + hashLength))
  const first = index * tileWidth
  try {
    const read = await readNodes(source, inclusionNodes(first, to.size), to.size)
    const proof = inclusionProof(first, to.size, read).slice(Math.ceil(Math.log2(width)))
    verifyInclusion({ leaf: bundle.root(), index, size: Math.ceil(to.size / tileWidth), root: to.root, proof })
    return true
  } catch {
    return false
  }
}
