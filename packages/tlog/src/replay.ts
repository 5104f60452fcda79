/**
 * Reading a whole log, in order, in flat memory: every entry is hashed, the tree is grown from these hashes alone, and in
 * the end its root must be the signed one.
 *
 *     for await (const { from, entries, leaves } of replay({ source, to: checkpoint, tiles: "compare", damaged })) {
 *       …                            // entries[i] is entry from + i; it counts once the loop has ended without throwing
 *     }
 *
 * With `tiles: "compare"` each hash tile that the log serves is held against the computed one.
 */
import type { Checkpoint } from "./checkpoint.ts"
import type { LogSource } from "./client.ts"
import { type ComputedTile, ComputedTiles } from "./computed-tiles.ts"
import { type Damage, damageAt, DamageError, firstDifference } from "./damage.ts"
import { TlogError } from "./errors.ts"
import { GrowingTree } from "./growing-tree.ts"
import { equalHashes, type Hash } from "./hash.ts"
import { rootNodes } from "./merkle.ts"
import { fetchBundle, openBundle } from "./open-bundle.ts"
import { type Tile, tilePath, tileWidth } from "./tile.ts"

export interface ReplayRequest {
  readonly source: LogSource
  readonly to: Checkpoint
  /** The tree so far, from the last replay: what is yielded goes on from its size. It is not changed. */
  readonly tree?: GrowingTree
  readonly tiles: "compare" | "skip"
  /** Told at the end of every hash tile that differs from what the entries, which are the signed ones, lead to. */
  readonly damaged: (damage: Damage) => void
  /** How many entry bundles are under way at once. */
  readonly bundlesAhead?: number
}

/** All from one entry bundle: at most 256 entries, views of its bytes. */
export interface ReplayBatch {
  readonly from: number
  readonly entries: readonly Uint8Array[]
  readonly leaves: readonly Hash[]
}

/**
 * Throws a `DamageError` for entries that are not what the log has signed (`MALFORMED`, `PROOF_INVALID`), `PROOF_INVALID`
 * where all entries together do not lead to the root of `to`, `SHRUNK` and `INCONSISTENT` where `to` does not go on from
 * `tree`, and what the source throws. Returns the tree of `to`.
 */
export async function* replay(request: ReplayRequest): AsyncGenerator<ReplayBatch, GrowingTree, undefined> {
  const { source, to, tree: known = new GrowingTree(), tiles, damaged, bundlesAhead = 8 } = request
  if (known.size > to.size)
    throw new TlogError("SHRUNK", `a log of ${known.size} entries cannot become one of ${to.size}`)
  // Whole bundles are hashed again, so that each is held against its whole tile, and the known tree against its end.
  const tree = wholeBundlesOf(known)
  const computed = new ComputedTiles(tree.size)
  const damages: Damage[] = []
  let forked = false
  for await (const bundle of ahead(bundlesOf(tree.size, to.size), bundlesAhead, (tile) =>
    fetchBundle(source, tile, tiles),
  )) {
    const from = tree.size
    const { entries, leaves, damage } = await openBundle(source, bundle, to)
    if (damage !== null) damages.push(damage)
    for (const leaf of leaves) {
      tree.append(leaf, (level, index, hash) => computed.add(level, index, hash))
      if (tree.size === known.size) forked = !equalHashes(tree.root(), known.root())
    }
    if (tiles === "compare") damages.push(...(await compare(source, computed.takeFull())))
    const skipped = Math.max(0, known.size - from)
    if (skipped < entries.length)
      yield { from: from + skipped, entries: entries.slice(skipped), leaves: leaves.slice(skipped) }
  }
  if (tiles === "compare") damages.push(...(await compare(source, computed.partial())))
  requireSigned(tree, to, damages)
  if (forked) throw new TlogError("INCONSISTENT", `the log now has other entries among its first ${known.size}`)
  for (const damage of damages) damaged(damage)
  return tree
}

function wholeBundlesOf(tree: GrowingTree): GrowingTree {
  const size = tree.size - (tree.size % tileWidth)
  return new GrowingTree(size, tree.peaks().slice(0, rootNodes(size).length))
}

function* bundlesOf(from: number, to: number): Generator<Tile> {
  for (let index = from / tileWidth; index * tileWidth < to; index++) {
    yield { level: "entries", index, width: Math.min(tileWidth, to - index * tileWidth) }
  }
}

/** The results in order, `count` under way at once. */
async function* ahead<Result>(
  tiles: Iterable<Tile>,
  count: number,
  start: (tile: Tile) => Promise<Result>,
): AsyncGenerator<Result> {
  const underWay: Promise<Result>[] = []
  for (const tile of tiles) {
    const started = start(tile)
    // Whoever stops early never awaits the rest.
    started.catch(() => {})
    underWay.push(started)
    if (underWay.length >= count) yield await (underWay.shift() as Promise<Result>)
  }
  for (const started of underWay) yield await started
}

async function compare(source: LogSource, computed: readonly ComputedTile[]): Promise<Damage[]> {
  const damages: Damage[] = []
  for (const { tile, hashes } of computed) {
    const place = firstDifference(hashes, await source.read(tilePath(tile)))
    if (place !== null) damages.push(damageAt(tile, place))
  }
  return damages
}

function requireSigned(tree: GrowingTree, to: Checkpoint, damages: readonly Damage[]): void {
  if (equalHashes(tree.root(), to.root)) return
  const [first] = damages
  if (first === undefined)
    throw new TlogError("PROOF_INVALID", `the entries do not lead to the root signed for ${to.size}`)
  throw new DamageError(
    "PROOF_INVALID",
    first,
    "the entries lead to another hash, and to another root than the signed one",
  )
}
