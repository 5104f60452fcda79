import assert from "node:assert/strict"
import { test } from "node:test"
import {
  type Checkpoint,
  type Damage,
  DamageError,
  formatEntryBundle,
  GrowingTree,
  hashLeaf,
  type LogSource,
  replay,
  type ReplayRequest,
} from "@weighlock/tlog"
import { flip, memoryLog, numbered } from "./memory-log.ts"

interface Outcome {
  readonly entries: Uint8Array[]
  readonly damages: Damage[]
  readonly tree: GrowingTree
}

async function replayed(
  source: LogSource,
  to: Checkpoint,
  options: Partial<Pick<ReplayRequest, "tree" | "tiles" | "bundlesAhead">> = {},
): Promise<Outcome> {
  const damages: Damage[] = []
  const entries: Uint8Array[] = []
  const damaged = (damage: Damage): void => void damages.push(damage)
  const run = replay({ source, to, tiles: "compare", damaged, ...options })
  for (let step = await run.next(); ; step = await run.next()) {
    if (step.done === true) return { entries, damages, tree: step.value }
    const { from, leaves, entries: more } = step.value
    assert.equal(from, (options.tree?.size ?? 0) + entries.length)
    assert.deepEqual(leaves, more.map(hashLeaf))
    entries.push(...more)
  }
}

async function refusal(
  source: LogSource,
  to: Checkpoint,
  options: Parameters<typeof replayed>[2] = {},
): Promise<unknown> {
  return replayed(source, to, options).then(
    () => assert.fail("accepted"),
    (error: unknown) => error,
  )
}

function treeOf(entries: readonly Uint8Array[]): GrowingTree {
  const tree = new GrowingTree()
  for (const entry of entries) tree.append(hashLeaf(entry))
  return tree
}

test("a log replays to its signed root, whatever its size and however far ahead it is read", async () => {
  for (const size of [0, 1, 255, 256, 257, 512, 1500]) {
    const log = await memoryLog(numbered(size))
    for (const bundlesAhead of [1, 3, 100]) {
      const { entries, damages, tree } = await replayed(log.source, log.checkpoint, { bundlesAhead })
      assert.deepEqual([entries, damages, tree.root()], [log.entries, [], log.checkpoint.root])
    }
    // Everything the log serves is read, each once a replay.
    assert.deepEqual(new Set(log.reads), new Set([...log.files.keys()].filter((path) => path !== "checkpoint")))
    assert.equal(log.reads.length, 3 * (log.files.size - 1))
  }
})

test("a replay goes on from where the last one ended", async () => {
  const log = await memoryLog(numbered(1500))
  for (const size of [0, 1, 255, 256, 257, 1024, 1279, 1280, 1281, 1499, 1500]) {
    for (const tiles of ["compare", "skip"] as const) {
      const tree = treeOf(log.entries.slice(0, size))
      const outcome = await replayed(log.source, log.checkpoint, { tree, tiles })
      assert.deepEqual([outcome.entries, outcome.damages], [log.entries.slice(size), []])
      assert.equal(tree.size, size)
    }
  }
})

test("every flipped bit of every hash tile is named by path and place, and stops nothing", async () => {
  const entries = numbered(1500)
  for (const [path, tile] of (await memoryLog(entries)).files) {
    if (!/^tile\/\d/.test(path)) continue
    for (const place of [0, 1, tile.length / 32 - 1]) {
      const log = await memoryLog(entries)
      if (place * 32 >= tile.length || place < 0) continue
      flip(log, path, place * 256 + 77)
      const outcome = await replayed(log.source, log.checkpoint)
      const first = path.startsWith("tile/0/") ? Number(path.slice(7, 10)) * 256 + place : place * 256
      assert.deepEqual(outcome.damages, [{ path, place, index: first }])
      assert.deepEqual(outcome.entries, entries)
      assert.deepEqual((await replayed(log.source, log.checkpoint, { tiles: "skip" })).damages, [])
    }
  }
})

test("a hash tile of another length is named", async () => {
  for (const path of ["tile/0/000", "tile/0/005.p/220", "tile/1/000.p/5"]) {
    for (const change of [-1, -32, 1, 32]) {
      const log = await memoryLog(numbered(1500))
      const bytes = log.files.get(path)!
      log.files.set(
        path,
        change < 0 ? bytes.subarray(0, change) : Uint8Array.from([...bytes, ...new Uint8Array(change)]),
      )
      const { damages } = await replayed(log.source, log.checkpoint)
      assert.deepEqual(
        damages.map((damage) => [damage.path, damage.place]),
        [[path, bytes.length / 32 - 1]],
      )
    }
  }
})

test("every flipped bit of an entry bundle ends the replay, named by path and place", async () => {
  const entries = Array.from({ length: 260 }, (_, at) => Uint8Array.of(at >> 8, at))
  for (const [path, first] of [
    ["tile/entries/000", 0],
    ["tile/entries/001.p/4", 256],
  ] as const) {
    const bits = (await memoryLog(entries)).files.get(path)!.length * 8
    for (let bit = 0; bit < bits; bit += first === 0 ? 41 : 1) {
      const log = await memoryLog(entries)
      flip(log, path, bit)
      const error = await refusal(log.source, log.checkpoint)
      const place = Math.floor(bit / 32)
      assert(error instanceof DamageError, String(error))
      assert.deepEqual(error.damage, { path, place, index: first + place })
      assert(["MALFORMED", "PROOF_INVALID"].includes(error.code))
      const blind = await refusal(log.source, log.checkpoint, { tiles: "skip" })
      assert(["MALFORMED", "PROOF_INVALID"].includes((blind as { code: string }).code))
    }
  }
})

test("a bundle that is cut, prolonged, or holds entries in another order is refused", async () => {
  const entries = numbered(300)
  const swapped = formatEntryBundle([entries[1]!, entries[0]!, ...entries.slice(2, 256)])
  const whole = formatEntryBundle(entries.slice(0, 256))
  for (const [bytes, place] of [
    [new Uint8Array(0), 0],
    [whole.subarray(0, 5), 0],
    [whole.subarray(0, -1), 255],
    [Uint8Array.of(...whole, 0), 255],
    [formatEntryBundle(entries.slice(0, 255)), 255],
    [swapped, 0],
    [formatEntryBundle(entries.slice(0, 255).toSpliced(7, 0, Buffer.from("extra"))), 7],
  ] as const) {
    const log = await memoryLog(entries)
    log.files.set("tile/entries/000", bytes)
    const error = await refusal(log.source, log.checkpoint)
    assert(error instanceof DamageError)
    assert.deepEqual(error.damage, { path: "tile/entries/000", place, index: place })
  }
})

test("a bundle and its hash tile changed together do not pass", async () => {
  const forged = numbered(1500).with(600, Buffer.from("forged"))
  const other = await memoryLog(forged)
  const log = await memoryLog(numbered(1500))
  for (const path of ["tile/entries/002", "tile/0/002"]) log.files.set(path, other.files.get(path)!)
  const error = await refusal(log.source, log.checkpoint)
  assert(error instanceof DamageError)
  // The hash tile above is the honest one: it says which bundle it is.
  assert.deepEqual(error.damage, { path: "tile/1/000.p/5", place: 2, index: 512 })
  assert.equal(error.code, "PROOF_INVALID")
  log.files.set("tile/1/000.p/5", other.files.get("tile/1/000.p/5")!)
  assert.equal(((await refusal(log.source, log.checkpoint)) as { code: string }).code, "PROOF_INVALID")
})

test("damage in several tiles: the entries decide, and all are named", async () => {
  const log = await memoryLog(numbered(1500))
  for (const path of ["tile/0/001", "tile/0/005.p/220", "tile/1/000.p/5"]) flip(log, path, 3)
  const { damages } = await replayed(log.source, log.checkpoint)
  assert.deepEqual(
    damages.map(({ path }) => path),
    ["tile/0/001", "tile/0/005.p/220", "tile/1/000.p/5"],
  )
})

test("a log that does not go on from the tree known is refused", async () => {
  const entries = numbered(1500)
  const log = await memoryLog(entries)
  assert.equal(
    ((await refusal(log.source, log.checkpoint, { tree: treeOf([...entries, entries[0]!]) })) as { code: string }).code,
    "SHRUNK",
  )
  for (const [size, changed] of [
    [1400, 3],
    [1400, 1399],
    [1500, 1499],
    [1500, 0],
    [1280, 1],
    [300, 299],
  ] as const) {
    const tree = treeOf(entries.slice(0, size).with(changed, Buffer.from("another")))
    const { code } = (await refusal(log.source, log.checkpoint, { tree })) as { code: string }
    // Where whole bundles are known, their entries are not read again: another root is all there is to see.
    assert.equal(code, changed >= size - (size % 256) ? "INCONSISTENT" : "PROOF_INVALID", `${size} ${changed}`)
  }
})

test("who stops early leaves nothing behind, and what the source cannot get is its own error", async () => {
  const log = await memoryLog(numbered(1500))
  for await (const { from } of replay({
    source: log.source,
    to: log.checkpoint,
    tiles: "compare",
    damaged: () => assert.fail(),
  })) {
    assert.equal(from, 0)
    log.files.clear()
    break
  }
  await new Promise((resolve) => setTimeout(resolve, 10))
  assert.match(String(await refusal(log.source, log.checkpoint)), /absent: tile\//)
})

test("no more is under way than asked for", async () => {
  const log = await memoryLog(numbered(20_000))
  let [underWay, most] = [0, 0]
  const read = async (path: string): Promise<Uint8Array> => {
    most = Math.max(most, ++underWay)
    await new Promise(setImmediate)
    underWay -= 1
    return log.source.read(path)
  }
  const { entries } = await replayed({ ...log.source, read }, log.checkpoint, { bundlesAhead: 5 })
  assert.equal(entries.length, 20_000)
  // A bundle and its hash tile.
  assert.equal(most, 10)
})
