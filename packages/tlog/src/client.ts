/**
 * Reading a log that one does not trust: what is fetched here is proven against a signed checkpoint or refused.
 *
 *     const source: LogSource = { checkpoint: () => get("checkpoint"), read: (path) => get(path) }
 *     const proof = await proveInclusion(source, 5, checkpoint, hashLeaf(entry))
 */
import type { Checkpoint } from "./checkpoint.ts"
import { formatEntryBundle, parseEntryBundle } from "./entry-bundle.ts"
import { malformed, requireCount, TlogError } from "./errors.ts"
import { equalHashes, type Hash } from "./hash.ts"
import {
  consistencyNodes,
  consistencyProof,
  inclusionNodes,
  inclusionProof,
  type NodeId,
  type NodeReader,
  rootNodes,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts"
import { checkedTile, nodeReader, tilesFor } from "./tile-nodes.ts"
import { hashTileLength, type Tile, tilePath, tileWidth } from "./tile.ts"

/**
 * Where a log is read from: a server, a folder, a cache. It need not be honest. It rejects what it cannot get; bounds on
 * time and bytes are its own (no tile is longer than `maximumEntryBundle`).
 */
export interface LogSource {
  /** The signed note, exact. */
  checkpoint(): Promise<Uint8Array>
  /** `path` is a `tilePath`. A log may drop a partial tile once the full one is there: answer `cutTile` of that. */
  read(path: string): Promise<Uint8Array>
}

/** The partial tile out of the full one. */
export function cutTile({ level, width }: Tile, full: Uint8Array): Uint8Array {
  if (level === "entries") return formatEntryBundle(parseEntryBundle(full, tileWidth).slice(0, width))
  return checkedTile("a full tile", full, tileWidth).subarray(0, hashTileLength(width))
}

/** Fetches the tiles that these nodes of a tree of `size` are computed from. What is read proves nothing yet. */
export async function readNodes(source: LogSource, nodes: readonly NodeId[], size: number): Promise<NodeReader> {
  const paths = tilesFor(nodes, size).map(tilePath)
  const tiles = await Promise.all(paths.map(async (path) => [path, await source.read(path)] as const))
  return nodeReader(size, new Map(tiles))
}

/**
 * The proof that `to` begins with all of `from`, verified. `SHRUNK` where `to` is smaller; `PROOF_INVALID` where the tiles
 * do not belong to `to`; and `INCONSISTENT`, as `ForkError`, only where they do and `from` is no part of it: whoever
 * signed both has forked the log.
 */
export async function proveConsistency(source: LogSource, from: Checkpoint, to: Checkpoint): Promise<Hash[]> {
  if (from.size === 0 || from.size >= to.size) {
    verifyConsistency({ from, to, proof: [] })
    return []
  }
  const nodes = [...rootNodes(from.size), ...consistencyNodes(from.size, to.size)]
  const read = await readNodes(source, nodes, to.size)
  const proof = consistencyProof(from.size, to.size, read)
  const root = treeRoot(from.size, read)
  try {
    verifyConsistency({ from: { size: from.size, root }, to, proof })
  } catch (cause) {
    throw new TlogError("PROOF_INVALID", `the tiles do not lead to the root of the checkpoint of ${to.size}`, { cause })
  }
  // The proof verifies, so this is what the later checkpoint says about the earlier size.
  if (!equalHashes(root, from.root)) throw new ForkError(from.size, root, proof)
  return proof
}

/** `INCONSISTENT`, proven: the later checkpoint contains a tree of `size` entries with this root, not with the one signed before. */
export class ForkError extends TlogError {
  override readonly name = "ForkError"
  readonly size: number
  readonly root: Hash
  /** From that tree to the later checkpoint. */
  readonly proof: readonly Hash[]
  constructor(size: number, root: Hash, proof: readonly Hash[]) {
    super("INCONSISTENT", `the log now contains another tree of ${size} entries than the one it signed before`)
    this.size = size
    this.root = root
    this.proof = proof
  }
}

/** The proof that `leaf` is at `index` under this checkpoint, verified; else `PROOF_INVALID`. */
export async function proveInclusion(
  source: LogSource,
  index: number,
  { size, root }: Checkpoint,
  leaf: Hash,
): Promise<Hash[]> {
  const read = await readNodes(source, inclusionNodes(index, size), size)
  const proof = inclusionProof(index, size, read)
  verifyInclusion({ leaf, index, size, root, proof })
  return proof
}

/** The entry that a log of `size` shows at `index`; what it is worth, `proveInclusion` of its leaf hash says. */
export async function readEntry(source: LogSource, index: number, size: number): Promise<Uint8Array> {
  requireCount(index, "entry index")
  requireCount(size, "tree size")
  if (index >= size) throw malformed(`a log of ${size} has no entry ${index}`)
  const tile = Math.floor(index / tileWidth)
  const width = Math.min(tileWidth, size - tile * tileWidth)
  const bytes = await source.read(tilePath({ level: "entries", index: tile, width }))
  return Uint8Array.from(parseEntryBundle(bytes, width)[index % tileWidth] as Uint8Array)
}
