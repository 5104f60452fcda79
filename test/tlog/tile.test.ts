import assert from "node:assert/strict"
import { existsSync, readFileSync } from "node:fs"
import { test } from "node:test"
import fc from "fast-check"
import {
  consistencyNodes,
  consistencyProof,
  formatEntryBundle,
  GrowingTree,
  type Hash,
  hashLeaf,
  inclusionNodes,
  inclusionProof,
  maximumEntryBundle,
  nodeReader,
  parseEntryBundle,
  parseTilePath,
  rootNodes,
  type Tile,
  tilePath,
  tilesBetween,
  tilesFor,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from "@weighlock/tlog"

const malformed = { code: "MALFORMED" }
const unsupported = { code: "UNSUPPORTED" }

const good: [Tile, string][] = [
  [{ level: "entries", index: 0, width: 256 }, "tile/entries/000"],
  [{ level: "entries", index: 0, width: 8 }, "tile/entries/000.p/8"],
  [{ level: 0, index: 1234067, width: 256 }, "tile/0/x001/x234/067"],
  [{ level: 0, index: 1000, width: 1 }, "tile/0/x001/000.p/1"],
  [{ level: 63, index: 999, width: 255 }, "tile/63/999.p/255"],
  [{ level: 6, index: 2 ** 53 - 1, width: 256 }, "tile/6/x009/x007/x199/x254/x740/991"],
]

test("a tile has one path", () => {
  for (const [tile, path] of good) {
    assert.equal(tilePath(tile), path)
    assert.deepEqual(parseTilePath(path), tile)
  }
})

test("every mangled tile path is refused or is the one spelling of another tile", () => {
  for (const [, path] of good) {
    for (const bad of manglings(path)) {
      let tile
      try {
        tile = parseTilePath(bad)
      } catch (error) {
        assert(["MALFORMED", "UNSUPPORTED"].includes((error as { code: string }).code), String(error))
        continue
      }
      assert.equal(tilePath(tile), bad)
    }
  }
})

function* manglings(text: string): Generator<string> {
  for (let at = 0; at <= text.length; at++) {
    yield text.slice(0, at) + text.slice(at + 1)
    yield text.slice(at)
    yield text.slice(0, at)
    for (const char of "0159x/.p- +\n\0é٣") {
      yield text.slice(0, at) + char + text.slice(at)
      yield text.slice(0, at) + char + text.slice(at + 1)
    }
  }
}

test("tile paths that are refused", () => {
  for (const bad of [
    "",
    "tile/0/x000/001",
    "tile/0/x000/x000/000",
    "tile/0/0",
    "tile/0/00",
    "tile/0/0000",
    "tile/0/000.p/0",
    "tile/0/000.p/256",
    "tile/0/000.p/01",
    "tile/0/000.p/1/",
    "tile/0/000/",
    "/tile/0/000",
    "tile/00/000",
    "tile/64/000",
    "tile/99/000",
    "tile/-1/000",
    "tile/entries.p/000",
    "tile/Entries/000",
    "tile/0/000\n",
    "tile/0/000.p/1\n",
    "tile/0/x001/x002",
    "tile/0/../000",
    "tile/0/x001/x001/x001/x001/x001/x001/x001/001",
    "x".repeat(1e6),
  ]) {
    assert.throws(() => parseTilePath(bad), malformed, bad)
  }
  assert.throws(() => parseTilePath("tile/6/x009/x007/x199/x254/x740/992"), unsupported)
  for (const tile of [
    { level: 64, index: 0, width: 256 },
    { level: -1, index: 0, width: 256 },
    { level: 0.5, index: 0, width: 256 },
    { level: 0, index: -1, width: 256 },
    { level: 0, index: 0, width: 0 },
    { level: 0, index: 0, width: 257 },
    { level: 0, index: Number.NaN, width: 1 },
  ]) {
    assert.throws(() => tilePath(tile), malformed)
  }
  assert.throws(() => tilePath({ level: 0, index: 2 ** 53, width: 1 }), unsupported)
})

const vectors = new URL("../../../shared/vectors/tile-paths.json", import.meta.url)

test("the tile paths of others", (t) => {
  if (!existsSync(vectors)) return t.diagnostic("not checked: no vectors")
  const { ok, bad, tree70000 } = JSON.parse(readFileSync(vectors, "utf8")) as {
    ok: [number | "entries", number | string, number, string][]
    bad: string[]
    tree70000: Record<string, number>
  }
  for (const [level, index, width, path] of ok) {
    // Stricter: an index beyond 2^53 - 1 is well-formed and not supported; no log gets there.
    if (typeof index === "string") assert.throws(() => parseTilePath(path), unsupported)
    else {
      assert.deepEqual(parseTilePath(path), { level, index, width })
      assert.equal(tilePath({ level, index, width }), path)
    }
  }
  for (const path of bad) assert.throws(() => parseTilePath(path), malformed, path)
  const tiles = tilesBetween(0, 70_000)
  const widths = (level: number): number[] => tiles.filter((tile) => tile.level === level).map(({ width }) => width)
  assert.equal(widths(0).filter((width) => width === 256).length, tree70000["level0Full"])
  assert.equal(widths(0).at(-1), tree70000["level0Partial"])
  assert.deepEqual(widths(1), [256, tree70000["level1Partial"]])
  assert.deepEqual(widths(2), [tree70000["level2Partial"]])
  assert.equal(tree70000["level1Full"], 1)
})

test("tilesBetween: the new tiles and no others", () => {
  const paths = (from: number, to: number): string[] => tilesBetween(from, to).map(tilePath)
  assert.deepEqual(paths(0, 0), [])
  assert.deepEqual(paths(5, 5), [])
  assert.deepEqual(paths(0, 1), ["tile/entries/000.p/1", "tile/0/000.p/1"])
  assert.deepEqual(paths(255, 256), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"])
  assert.deepEqual(paths(256, 257), ["tile/entries/001.p/1", "tile/0/001.p/1"])
  assert.deepEqual(paths(65_535, 65_536), ["tile/entries/255", "tile/0/255", "tile/1/000", "tile/2/000.p/1"])
  assert.deepEqual(paths(2 ** 53 - 2, 2 ** 53 - 1).length, 2)
  assert.throws(() => tilesBetween(0, 2 ** 53), unsupported)
  const all = (size: number): Set<string> => new Set(paths(0, size))
  fc.assert(
    fc.property(fc.nat(200_000), fc.nat(2_000), (from, more) => {
      const had = all(from)
      const expected = [...all(from + more)].filter((path) => !had.has(path))
      assert.deepEqual(paths(from, from + more), expected)
    }),
    { numRuns: 50 },
  )
})

const size = 70_000
const tree = new GrowingTree()
const roots: Hash[] = []
const hashes = new Map<number, Hash[]>()
for (let at = 0; at < size; at++) {
  if (at < 3000 || at % 1000 === 7) roots[at] = tree.root()
  tree.append(hashLeaf(new TextEncoder().encode(`entry ${at}`)), (level, index, hash) => {
    if (level % 8 !== 0) return
    const row = hashes.get(level / 8) ?? []
    hashes.set(level / 8, row)
    assert.equal(row.length, index)
    row.push(hash)
  })
}
roots[size] = tree.root()

function tileBytes({ level, index, width }: Tile): Uint8Array {
  assert(level !== "entries")
  return Buffer.concat(hashes.get(level)!.slice(256 * index, 256 * index + width))
}

function fetched(tiles: readonly Tile[]): Map<string, Uint8Array> {
  return new Map(tiles.map((tile) => [tilePath(tile), tileBytes(tile)]))
}

test("proofs and roots from exactly the tiles that tilesFor names", () => {
  const sizes = [1, 2, 255, 256, 257, 511, 512, 1023, 2999, 65_007, size]
  for (const to of sizes) {
    const had = new Set(tilesBetween(0, to).map(tilePath))
    const read = (nodes: Parameters<typeof tilesFor>[0]): ReturnType<typeof nodeReader> => {
      const tiles = tilesFor(nodes, to)
      for (const tile of tiles) assert(had.has(tilePath(tile)), tilePath(tile))
      assert(tiles.length <= 8)
      return nodeReader(to, fetched(tiles))
    }
    const root = roots[to]!
    assert.deepEqual(treeRoot(to, read(rootNodes(to))), root)
    for (const index of [0, 1, 255, 256, 2998, to - 1].filter((at) => at < to)) {
      const proof = inclusionProof(index, to, read(inclusionNodes(index, to)))
      verifyInclusion({ leaf: hashes.get(0)![index]!, index, size: to, root, proof })
    }
    for (const from of [0, ...sizes].filter((at) => at <= to)) {
      const proof = consistencyProof(from, to, read(consistencyNodes(from, to)))
      verifyConsistency({ from: { size: from, root: roots[from]! }, to: { size: to, root }, proof })
    }
  }
})

test("a tile that is absent, short or long is refused", () => {
  const [tile] = tilesFor([{ level: 3, index: 1 }], 300)
  assert.equal(tilePath(tile!), "tile/0/000")
  const bytes = tileBytes(tile!)
  assert.equal(nodeReader(300, new Map([["tile/0/000", bytes]]))(3, 1).length, 32)
  for (const bad of [new Uint8Array(0), bytes.subarray(1), bytes.subarray(32), Uint8Array.of(...bytes, 0)]) {
    assert.throws(() => nodeReader(300, new Map([["tile/0/000", bad]]))(3, 1), malformed)
  }
  assert.throws(() => nodeReader(300, new Map())(3, 1), malformed)
  assert.throws(() => nodeReader(300, new Map())(3, 37), malformed)
  assert.throws(() => tilesFor([{ level: 9, index: 0 }], 300), malformed)
  assert.throws(() => tilesFor([{ level: -1, index: 0 }], 300), malformed)
  assert.throws(() => tilesFor([], 2 ** 53), unsupported)
})

test("an entry bundle holds exactly its entries", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 256 }), (entries) => {
      const bytes = formatEntryBundle(entries)
      assert.deepEqual(parseEntryBundle(bytes, entries.length), entries)
      if (entries.length < 256) assert.throws(() => parseEntryBundle(bytes, entries.length + 1), malformed)
      if (entries.length > 1) assert.throws(() => parseEntryBundle(bytes, entries.length - 1), malformed)
    }),
    { numRuns: 50 },
  )
  assert.deepEqual(
    [...formatEntryBundle([Buffer.from("hello"), Buffer.of(), Buffer.from("hi")])],
    [0, 5, 104, 101, 108, 108, 111, 0, 0, 0, 2, 104, 105],
  )
  const largest = formatEntryBundle(Array.from({ length: 256 }, () => new Uint8Array(65_535)))
  assert.equal(largest.length, maximumEntryBundle)
  assert.equal(parseEntryBundle(largest, 256).length, 256)
})

test("a cut or prolonged entry bundle is refused", () => {
  const bytes = formatEntryBundle([Buffer.alloc(3), Buffer.alloc(0), Buffer.alloc(300)])
  for (let cut = 0; cut < bytes.length; cut++) {
    assert.throws(() => parseEntryBundle(bytes.subarray(0, cut), 3), malformed)
  }
  assert.throws(() => parseEntryBundle(Uint8Array.of(...bytes, 0), 3), malformed)
  assert.throws(() => parseEntryBundle(Uint8Array.of(...bytes, 0, 0), 3), malformed)
  for (const width of [0, 257, -1, 1.5, Number.NaN]) assert.throws(() => parseEntryBundle(bytes, width), malformed)
  assert.throws(() => formatEntryBundle([]), malformed)
  assert.throws(() => formatEntryBundle([new Uint8Array(65_536)]), malformed)
  assert.throws(() => formatEntryBundle(Array.from({ length: 257 }, () => new Uint8Array(0))), malformed)
})
