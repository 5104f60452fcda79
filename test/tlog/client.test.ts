import assert from "node:assert/strict"
import { test } from "node:test"
import {
  advance,
  AdvanceError,
  cutTile,
  emptyCheckpoint,
  ForkError,
  hashLeaf,
  openCheckpoint,
  parsePolicy,
  parseTilePath,
  proveConsistency,
  proveInclusion,
  readEntry,
  readNodes,
  type Seen,
  tilePath,
  tilesBetween,
  tileWidth,
  verifyConsistency,
  verifyInclusion,
} from "@weighlock/tlog"
import { flip, memoryLog, numbered, origin, signed, vkey } from "./memory-log.ts"

const log = { origin, vkeys: [vkey], policy: parsePolicy("quorum none\n") }
const atFirst: Seen = { checkpoint: emptyCheckpoint(origin), note: null }
const sizes = [1, 2, 255, 256, 257, 600, 1024]
const logs = new Map(await Promise.all(sizes.map(async (size) => [size, await memoryLog(numbered(size))] as const)))
const at = (size: number): Awaited<ReturnType<typeof memoryLog>> => logs.get(size)!
const fork = await memoryLog(numbered(600).with(3, Buffer.from("something else")))
const seenAt = (size: number): Seen => ({ checkpoint: at(size).checkpoint, note: at(size).note })

test("a client advances from every size to every later one, and can go on from there", async () => {
  for (const to of sizes) {
    const advanced = await advance({ source: at(to).source, seen: atFirst, log })
    assert.deepEqual(advanced.checkpoint, at(to).checkpoint)
    assert.deepEqual([advanced.note, advanced.consistency, advanced.quorum], [at(to).note, [], true])
    for (const from of sizes.filter((size) => size <= to)) {
      const { checkpoint, consistency } = await advance({ source: at(to).source, seen: seenAt(from), log })
      verifyConsistency({ from: at(from).checkpoint, to: checkpoint, proof: consistency })
    }
  }
})

test("a log that shrinks is refused, with both notes", async () => {
  for (const seen of [257, 600]) {
    const refused = await rejection(advance({ source: at(256).source, seen: seenAt(seen), log }))
    assert(refused instanceof AdvanceError)
    assert.equal(refused.code, "SHRUNK")
    assert.deepEqual(refused.evidence, { seen: at(seen).note, shown: at(256).note })
  }
  const empty = await memoryLog([])
  assert.equal((await rejection(advance({ source: empty.source, seen: seenAt(1), log }))).code, "SHRUNK")
  assert.equal((await advance({ source: empty.source, seen: atFirst, log })).checkpoint.size, 0)
})

test("a fork at one size is refused, with both notes", async () => {
  const refused = await rejection(advance({ source: fork.source, seen: seenAt(600), log }))
  assert(refused instanceof AdvanceError)
  assert.equal(refused.code, "INCONSISTENT")
  assert.deepEqual(refused.evidence, { seen: at(600).note, shown: fork.note })
})

test("a fork in the past is refused, and the evidence alone convinces a third party", async () => {
  for (const size of [255, 256, 257]) {
    const refused = await rejection(advance({ source: fork.source, seen: seenAt(size), log }))
    assert(refused instanceof AdvanceError)
    assert.equal(refused.code, "INCONSISTENT")
    const { seen, shown, fork: found } = refused.evidence
    assert(seen !== null && found !== undefined)
    const [before, after] = [openCheckpoint(seen, log), openCheckpoint(shown, log)]
    verifyConsistency({ from: { size: found.size, root: found.root }, to: after, proof: found.proof })
    assert.equal(found.size, before.size)
    assert.notDeepEqual(found.root, before.root)
  }
})

test("tiles that do not belong to the checkpoint are no evidence of a fork", async () => {
  for (const [from, to] of [
    [255, 600],
    [256, 600],
    [512, 1024],
    [257, 257],
    [1, 2],
  ] as const) {
    for (const path of new Set([...at(to).files.keys()].filter((name) => name.startsWith("tile/")))) {
      for (const bit of [0, 8 * 32 * 255 + 3]) {
        const changed = await memoryLog(at(to).entries)
        if (bit >= 8 * changed.files.get(path)!.length) continue
        flip(changed, path, bit)
        const early = await memoryLog(at(to).entries.slice(0, from))
        const attempt = advance({
          source: changed.source,
          seen: { checkpoint: early.checkpoint, note: early.note },
          log,
        })
        const outcome = await attempt.then(
          () => "advanced",
          (error: unknown) => error,
        )
        if (outcome === "advanced") continue
        assert(!(outcome instanceof AdvanceError))
        assert.equal((outcome as { code: string }).code, "PROOF_INVALID", `${from} ${to} ${path}`)
      }
    }
  }
  const cut = await memoryLog(at(600).entries)
  cut.files.set("tile/0/000", cut.files.get("tile/0/000")!.subarray(1))
  await assert.rejects(
    advance({ source: cut.source, seen: seenAt(255), log }).then((all) => all.consistency),
    { code: "MALFORMED" },
  )
})

test("a checkpoint that is not the log's is refused before anything else is read", async () => {
  const other = await memoryLog(numbered(300))
  const shown = async (bytes: Uint8Array): Promise<string> => {
    const source = { ...other.source, checkpoint: () => Promise.resolve(bytes) }
    other.reads.length = 0
    const { code } = await rejection(advance({ source, seen: seenAt(257), log }))
    assert.deepEqual(other.reads, [])
    return code
  }
  const note = Buffer.from(other.note)
  for (let cut = 0; cut < note.length; cut++) {
    assert(["MALFORMED", "SIGNATURE_INVALID"].includes(await shown(note.subarray(0, cut))), `cut at ${cut}`)
  }
  assert.equal(await shown(Buffer.concat([note, Buffer.of(0xff)])), "MALFORMED")
  assert.equal(await shown(Buffer.concat([Buffer.from("\uFEFF"), note])), "SIGNATURE_INVALID")
  assert.equal(
    await shown(Buffer.from(await signed({ ...other.checkpoint, origin: "evil.example/log" }))),
    "SIGNATURE_INVALID",
  )
  assert.equal(await shown(Buffer.alloc(65_537, "a")), "MALFORMED")
  assert.equal(await shown(new Uint8Array(0)), "MALFORMED")
})

test("what the source cannot get is the source's own error", async () => {
  const gone = await memoryLog(numbered(600))
  gone.files.delete("tile/0/000")
  await assert.rejects(advance({ source: gone.source, seen: seenAt(255), log }), /absent: tile\/0\/000/)
  gone.files.delete("checkpoint")
  await assert.rejects(advance({ source: gone.source, seen: seenAt(257), log }), /absent: checkpoint/)
})

test("every entry of a log is read and proven; another is not", async () => {
  const { source, checkpoint, entries } = at(600)
  for (const index of [0, 1, 255, 256, 511, 512, 599]) {
    const entry = await readEntry(source, index, 600)
    assert.deepEqual(entry, entries[index])
    const leaf = hashLeaf(entry)
    const proof = await proveInclusion(source, index, checkpoint, leaf)
    verifyInclusion({ leaf, index, size: 600, root: checkpoint.root, proof })
    await assert.rejects(proveInclusion(source, (index + 1) % 600, checkpoint, leaf), { code: "PROOF_INVALID" })
    await assert.rejects(proveInclusion(fork.source, index, checkpoint, leaf), { code: "PROOF_INVALID" })
  }
  await assert.rejects(proveInclusion(source, 600, checkpoint, checkpoint.root), { code: "PROOF_INVALID" })
  await assert.rejects(readEntry(source, 600, 600), { code: "MALFORMED" })
  await assert.rejects(readEntry(source, -1, 600), { code: "MALFORMED" })
  await assert.rejects(readEntry(source, 2 ** 53, 2 ** 54), { code: "UNSUPPORTED" })
})

test("proveConsistency: nothing to read from the empty log and between equal ones", async () => {
  const { source, checkpoint, reads } = await memoryLog(numbered(300))
  assert.deepEqual(await proveConsistency(source, emptyCheckpoint(origin), checkpoint), [])
  assert.deepEqual(await proveConsistency(source, checkpoint, checkpoint), [])
  assert.deepEqual(reads, [])
  const forged = { ...emptyCheckpoint(origin), root: checkpoint.root }
  await assert.rejects(proveConsistency(source, forged, checkpoint), { code: "INCONSISTENT" })
  await assert.rejects(proveConsistency(fork.source, at(257).checkpoint, fork.checkpoint), ForkError)
})

test("a tile is read once for all nodes in it", async () => {
  const { source, reads } = await memoryLog(numbered(600))
  const read = await readNodes(
    source,
    [
      { level: 0, index: 3 },
      { level: 3, index: 1 },
      { level: 0, index: 599 },
    ],
    600,
  )
  assert.deepEqual(reads, ["tile/0/000", "tile/0/002.p/88"])
  assert.deepEqual(read(0, 3), hashLeaf(at(600).entries[3]!))
})

test("a full tile is cut to every partial one that was there before it", () => {
  for (const size of [1, 255, 257]) {
    for (const tile of tilesBetween(0, size)) {
      const path = tilePath({ ...tile, width: tileWidth })
      const full = at(1024).files.get(path)
      if (tile.width === tileWidth || full === undefined) continue
      assert.deepEqual(new Uint8Array(cutTile(tile, full)), at(size).files.get(tilePath(tile)))
      assert.throws(() => cutTile(tile, full.subarray(1)), { code: "MALFORMED" })
      assert.throws(() => cutTile(tile, Uint8Array.of(...full, 0)), { code: "MALFORMED" })
    }
  }
  assert.throws(() => cutTile(parseTilePath("tile/0/000.p/1"), new Uint8Array(0)), { code: "MALFORMED" })
})

async function rejection(run: Promise<unknown>): Promise<Error & { code: string }> {
  const error: unknown = await run.then(
    () => assert.fail("accepted"),
    (refused: unknown) => refused,
  )
  assert(error instanceof Error && "code" in error && typeof error.code === "string")
  return error as Error & { code: string }
}
