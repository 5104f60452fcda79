/**
 * The nodes of a tree, computed from its hash tiles.
 *
 *     const tiles = tilesFor(inclusionNodes(5, size), size)            // what to fetch
 *     const read = nodeReader(size, new Map([["tile/0/000.p/7", bytes]]))
 *     inclusionProof(5, size, read)
 */
import { malformed, requireCount } from "./errors.ts"
import { type Hash, hashChildren, hashLength } from "./hash.ts"
import type { NodeId, NodeReader } from "./merkle.ts"
import { hashTileLength, type Tile, tilePath, tileWidth } from "./tile.ts"

/** The distinct hash tiles, full or partial as in a tree of `size`, from which these nodes can be computed. */
export function tilesFor(nodes: readonly NodeId[], size: number): Tile[] {
  requireCount(size, "tree size")
  const tiles = new Map<string, Tile>()
  for (const node of nodes) {
    const { tile } = place(node, size)
    tiles.set(tilePath(tile), tile)
  }
  return [...tiles.values()]
}

/** Reads nodes of a tree of `size` out of tiles by path; `MALFORMED` where one is absent or has another length. */
export function nodeReader(size: number, tiles: ReadonlyMap<string, Uint8Array>): NodeReader {
  requireCount(size, "tree size")
  return (level, index) => {
    const { tile, first, count } = place({ level, index }, size)
    const path = tilePath(tile)
    const bytes = tiles.get(path)
    if (bytes === undefined) throw malformed(`${path} is not there`)
    return subtreeHash(checkedTile(path, bytes, tile.width), first, count)
  }
}

/** The tile itself, if it has the length that its path says. */
export function checkedTile(path: string, bytes: Uint8Array, width: number): Uint8Array {
  const expected = hashTileLength(width)
  if (bytes.length !== expected) throw malformed(`${path}: ${expected} bytes expected, found ${bytes.length}`)
  return bytes
}

/** The tile a node is computed from, and the hashes in it that the node spans. */
function place({ level, index }: NodeId, size: number): { tile: Tile; first: number; count: number } {
  requireCount(level, "node level")
  requireCount(index, "node index")
  if ((index + 1) * 2 ** level > size) throw malformed(`a tree of ${size} has no node (${level}, ${index})`)
  const tileLevel = Math.floor(level / 8)
  const count = 2 ** (level - 8 * tileLevel)
  const tileIndex = Math.floor((index * count) / tileWidth)
  const hashes = Math.floor(size / tileWidth ** tileLevel)
  const width = Math.min(tileWidth, hashes - tileIndex * tileWidth)
  return { tile: { level: tileLevel, index: tileIndex, width }, first: index * count - tileIndex * tileWidth, count }
}

function subtreeHash(tile: Uint8Array, first: number, count: number): Hash {
  // Not `slice`: that of a Buffer does not copy.
  if (count === 1) return new Uint8Array(tile.subarray(first * hashLength, (first + 1) * hashLength))
  return hashChildren(subtreeHash(tile, first, count / 2), subtreeHash(tile, first + count / 2, count / 2))
}
