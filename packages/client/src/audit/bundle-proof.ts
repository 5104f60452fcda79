/**
 * Is this entry bundle what the log has signed? Told before anything else of the log is read: a bundle is a leaf of the
 * tree of all bundles, which is the upper part of the tree of all entries.
 */
import {
  type Checkpoint,
  GrowingTree,
  type Hash,
  inclusionNodes,
  inclusionProof,
  type LogSource,
  readNodes,
  verifyInclusion,
} from "@weighlock/tlog"

const width = 256

/** Throws PROOF_INVALID unless `leaves` are all entries of that block under the checkpoint. */
export async function requireSignedBundle(
  source: LogSource,
  { size, root }: Checkpoint,
  index: number,
  leaves: readonly Hash[],
): Promise<void> {
  const tree = new GrowingTree()
  for (const leaf of leaves) tree.append(leaf)
  const first = index * width
  const read = await readNodes(source, inclusionNodes(first, size), size)
  // The lower part of the first leaf's proof stays inside the block, whose root was computed from its entries.
  const proof = inclusionProof(first, size, read).slice(Math.ceil(Math.log2(leaves.length)))
  verifyInclusion({ leaf: tree.root(), index, size: Math.ceil(size / width), root, proof })
}

/** Keeps the last tiles that were read: neighbours in the log need the same ones. */
export class TileCache implements LogSource {
  readonly #source: LogSource
  readonly #tiles = new Map<string, Promise<Uint8Array>>()
  readonly #most: number

  constructor(source: LogSource, most = 64) {
    this.#source = source
    this.#most = most
  }

  checkpoint(): Promise<Uint8Array> {
    return this.#source.checkpoint()
  }

  read(path: string): Promise<Uint8Array> {
    const known = this.#tiles.get(path)
    if (known !== undefined) return known
    const reading = this.#source.read(path)
    reading.catch(() => this.#tiles.delete(path))
    this.#tiles.set(path, reading)
    for (const oldest of this.#tiles.keys()) {
      if (this.#tiles.size <= this.#most) break
      this.#tiles.delete(oldest)
    }
    return reading
  }
}
