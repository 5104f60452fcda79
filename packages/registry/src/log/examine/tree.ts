/**
 * Is the tree that of the entries? Every hash is appended again, in order; tiles and roots that follow must be those that
 * are kept. Entries before `from` are taken from the tiles of level 0, which fix their hashes.
 */
import { GrowingTree, equalHashes, hashLeaf, tileWidth } from "@weighlock/tlog"

import type { EntryRow, LedgerRows } from "../../store/ledger-rows.ts"
import { type Finding, entryFinding, finding, hex } from "./finding.ts"

export interface TreeQuestion {
  /** Entries from this index on (a multiple of 256) are read; those before are believed to be what the tiles say. */
  readonly from: number
  /** The next size, ascending, whose root is wanted; `Infinity` when there is none. */
  readonly nextSize: () => number
  readonly onRoot: (size: number, root: Uint8Array) => void
  /** Asked about every entry that is read, with a leaf that fits its hash. */
  readonly onEntry: (row: EntryRow) => Iterable<Finding>
}

/** One pass over the log; whatever is asked for on the way is answered as it is come by. */
export function* examineTree(rows: LedgerRows, size: number, question: TreeQuestion): Generator<Finding> {
  const tree = new GrowingTree()
  const tiles = new Tiles(rows)
  let wanted = question.nextSize()
  for (let start = 0; start < size; start += tileWidth) {
    const end = Math.min(size, start + tileWidth)
    for (const hash of yield* hashesOf(rows, start, end, question)) {
      tree.append(hash, (level, index, node) => tiles.take(level, index, node))
      while (wanted <= tree.size) {
        if (wanted === tree.size) question.onRoot(wanted, tree.root())
        wanted = question.nextSize()
      }
    }
    yield* tiles.findings.splice(0)
  }
  if (rows.count("log_tiles") !== tiles.count) {
    yield finding(
      "tile",
      "log_tiles",
      `there are ${rows.count("log_tiles")} tiles, the log has ${tiles.count} full ones`,
    )
  }
  yield* examineHead(rows, size, tree.root())
}

function* examineHead(rows: LedgerRows, size: number, root: Uint8Array): Generator<Finding> {
  const head = rows.head()
  const entries = rows.count("log_entries")
  if (entries !== size) yield finding("head", "log_head", `it says ${size} entries, there are ${entries}`)
  if (head && !equalHashes(head.root, root)) {
    yield finding("head", "log_head", `its root is ${hex(head.root)}, the entries have ${hex(root)}`)
  }
}

function* hashesOf(
  rows: LedgerRows,
  start: number,
  end: number,
  { from, onEntry }: TreeQuestion,
): Generator<Finding, readonly Uint8Array[]> {
  const tile = start < from ? rows.tile(0, start / tileWidth) : null
  if (tile) return Array.from({ length: end - start }, (_, at) => tile.slice(at * 32, at * 32 + 32))
  const entries = new Map(rows.entries(start, end).map((row) => [row.idx, row]))
  const hashes: Uint8Array[] = []
  for (let index = start; index < end; index++) {
    const row = entries.get(index)
    if (!row) yield entryFinding("leaf", index, "there is no such entry")
    else if (equalHashes(hashLeaf(row.leaf), row.hash)) yield* onEntry(row)
    else yield entryFinding("leaf", index, `its hash is ${hex(row.hash)}, its leaf's is ${hex(hashLeaf(row.leaf))}`)
    hashes.push(row?.hash ?? new Uint8Array(32))
  }
  return hashes
}

/** Collects the hashes of full tiles as the tree grows, and compares each with the one that is kept. */
class Tiles {
  readonly findings: Finding[] = []
  count = 0
  readonly #rows: LedgerRows
  readonly #growing = new Map<number, Uint8Array>()

  constructor(rows: LedgerRows) {
    this.#rows = rows
  }

  take(nodeLevel: number, index: number, hash: Uint8Array): void {
    if (nodeLevel % 8 !== 0) return
    const level = nodeLevel / 8
    const growing = this.#growing.get(level) ?? new Uint8Array(tileWidth * 32)
    this.#growing.set(level, growing)
    growing.set(hash, (index % tileWidth) * 32)
    if (index % tileWidth === tileWidth - 1) this.#compare(level, (index + 1) / tileWidth - 1, growing)
  }

  #compare(level: number, n: number, expected: Uint8Array): void {
    this.count += 1
    const kept = this.#rows.tile(level, n)
    if (kept && Buffer.compare(kept, expected) === 0) return
    const at = kept ? firstDifference(kept, expected) : 0
    const what = kept ? `hash ${at} is ${hex(slot(kept, at))}, it must be ${hex(slot(expected, at))}` : "it is absent"
    this.findings.push(finding("tile", `log_tiles ${level}/${n}`, what))
  }
}

const slot = (tile: Uint8Array, at: number): Uint8Array => tile.subarray(at * 32, at * 32 + 32)

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const byte = a.findIndex((each, at) => each !== b[at])
  return Math.floor(Math.max(0, byte) / 32)
}
