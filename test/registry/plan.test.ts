/**
 * The sequencer's promises, on any order of publishes: one root per size, every checkpoint consistent with those before, an
 * acknowledged entry at its index for ever, one manifest per version, seq and prev without a gap.
 */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"

import { ReplayedHistory, encodeBase64, openEntry, parseLeaf } from "@weighlock/manifest"
import { type Candidate, type Outcome, Sequencer, SqliteLedger, TreeNodes } from "@weighlock/registry"
import {
  GrowingTree,
  hashLeaf,
  nodeReader,
  openCheckpoint,
  tilePath,
  tilesBetween,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from "@weighlock/tlog"
import fc from "fast-check"

import { type LogWorld, type TestLog, candidate, makeLogWorld, startLog } from "./log-support.ts"
import { some } from "../support/thorough.ts"

/** Model, version, variant: few of each, so that they meet. */
const publish = fc.record({ model: fc.nat(2), version: fc.nat(3), variant: fc.nat(1) })
const batch = fc.array(publish, { minLength: 1, maxLength: 6 })
/** Batches of which the next is planned while the one before is committed, and restarts between them. */
const story = fc.array(
  fc.oneof({ weight: 6, arbitrary: fc.array(batch, { minLength: 1, maxLength: 3 }) }, fc.constant("restart" as const)),
  {
    minLength: 1,
    maxLength: 8,
  },
)

interface Seen {
  readonly roots: Map<number, string>
  readonly acknowledged: Map<number, string>
  readonly holders: Map<string, { index: number; digest: string }>
}

test("any story of publishes and restarts keeps the invariants", async (t) => {
  const prepared = new Map<string, Promise<Candidate>>()
  await fc.assert(
    fc.asyncProperty(story, async (steps) => {
      const world = await makeLogWorld(t)
      const seen: Seen = { roots: new Map(), acknowledged: new Map(), holders: new Map() }
      let log = await startLog(t, world)
      for (const step of steps) {
        if (step === "restart") {
          await log.close()
          log = await startLog(t, world)
          continue
        }
        const batches = await Promise.all(
          step.map((each) =>
            Promise.all(each.map(({ model, version, variant }) => make(prepared, world, model, version, variant))),
          ),
        )
        const outcomes = await Promise.all(batches.map((each) => log.log.append(each)))
        for (const [i, each] of batches.entries()) note(seen, each, outcomes[i] ?? [])
        await checkCheckpoint(log, world, seen)
      }
      await checkHistory(log, world, seen)
      await log.close()
    }),
    { numRuns: some(25, 3) },
  )
})

function make(
  prepared: Map<string, Promise<Candidate>>,
  world: LogWorld,
  model: number,
  version: number,
  variant: number,
): Promise<Candidate> {
  const key = [world.folder, model, version, variant].join(" ")
  const made = prepared.get(key) ?? candidate(world, `acme/m${model}`, `1.0.${version}`, variant)
  prepared.set(key, made)
  return made
}

/** The model of what must happen: the first manifest of a version holds it, the same again is the same entry. */
function note({ acknowledged, holders }: Seen, batch: readonly Candidate[], outcomes: readonly Outcome[]): void {
  for (const [i, outcome] of outcomes.entries()) {
    const { model, version, digest } = batch[i] as Candidate
    const holder = holders.get(`${model}@${version}`)
    if (!holder) {
      assert.ok(outcome.kind === "appended")
      holders.set(`${model}@${version}`, { index: outcome.index, digest })
      assert.ok(!acknowledged.has(outcome.index))
      acknowledged.set(outcome.index, encodeBase64(outcome.entry.entry))
    } else if (holder.digest === digest) {
      assert.deepEqual(outcome, { kind: "held", index: holder.index })
    } else {
      assert.ok(outcome.kind === "refused" && outcome.error.code === "VERSION_EXISTS")
    }
  }
}

test("a trust root that runs out between admission and the log is TRUST_EXPIRED, as a moment before", async (t) => {
  const plan = new URL("../../packages/registry/src/log/plan.ts", import.meta.url)
  const { planPublishes } = (await import(plan.href)) as { planPublishes: (...args: unknown[]) => Plan }
  const world = await makeLogWorld(t)
  const one = await make(new Map(), world, 0, 0, 0)
  const before = { trustChain: world.trustChain, size: 2, lastAt: 0 }
  const planned = (at: number): Outcome | undefined =>
    planPublishes(before, [one], [{ holder: null, newest: null, missing: [] }], at).outcomes[0]
  assert.equal(planned(Date.now())?.kind, "appended")
  const late = planned(Date.now() + 10 * 366 * 86_400_000)
  assert.ok(late?.kind === "refused" && late.error.code === "TRUST_EXPIRED", JSON.stringify(late))
})

interface Plan {
  readonly outcomes: readonly Outcome[]
}

async function checkCheckpoint({ log, ledger }: TestLog, world: LogWorld, { roots }: Seen): Promise<void> {
  const { note: text } = log.served.newest
  const { size, root } = openCheckpoint(text, world.trustChain.current.log)
  assert.equal((await ledger.checkpoint(size)) ?? "", text)
  assert.equal(roots.get(size) ?? encodeBase64(root), encodeBase64(root), `one root at ${size}`)
  for (const [from, earlier] of roots) {
    const proof = await log.consistency(from, size)
    verifyConsistency({ from: { size: from, root: Buffer.from(earlier, "base64") }, to: { size, root }, proof })
  }
  roots.set(size, encodeBase64(root))
}

/** A replay of the log accepts every entry, finds each acknowledged one at its index, and the same holders. */
async function checkHistory(
  { log, ledger }: TestLog,
  { trustChain }: LogWorld,
  { acknowledged, holders }: Seen,
): Promise<void> {
  const { size, root } = log.served.newest
  const keys = new Map([...trustChain.current.keys].map(([keyid, { key }]) => [keyid, key]))
  const replayed = new ReplayedHistory(trustChain)
  for (const { index, leaf } of await ledger.entries(0, size)) {
    replayed.apply(openEntry(leaf, null, keys, "native"))
    if (index >= 2) assert.equal(encodeBase64(leaf), acknowledged.get(index))
    verifyInclusion({ leaf: hashLeaf(leaf), index, size, root, proof: await log.inclusion(index, size) })
  }
  assert.equal(acknowledged.size, size - 2)
  for (const [name, { digest }] of holders) {
    const [model = "", version = ""] = name.split("@")
    assert.equal(replayed.bound(model, version), digest)
  }
}

test("at never decreases, whatever the clock does", async (t) => {
  const world = await makeLogWorld(t)
  let clock = 1_795_435_200_000
  const { log, ledger } = await startLog(t, world, { now: () => clock })
  for (const [i, step] of [1000, -5000, 0, 7000, -1].entries()) {
    clock += step
    await log.append([await candidate(world, "acme/mnist", `1.0.${i}`)])
  }
  const entries = await ledger.entries(0, 7)
  const times = entries.map(({ leaf }) => parseLeaf(leaf).at)
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  )
})

test("tiles at and around the sizes where they become full are those of a naive tree", async () => {
  const tree = new GrowingTree()
  const kept = new Map<string, Uint8Array>()
  const store = { tile: async (level: number, n: number) => kept.get(`${level}/${n}`) ?? null }
  const { Growth } = await import("@weighlock/registry")
  const nodes = new TreeNodes(store)
  let grown = tree
  for (const size of [1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 66_000]) {
    const growth = new Growth(grown, nodes.read)
    while (growth.tree.size < size) growth.append(hashLeaf(Buffer.from(`entry ${growth.tree.size}`)))
    for (const { level, n, hashes } of growth.tiles) kept.set(`${level}/${n}`, hashes)
    nodes.add(growth.nodes)
    grown = growth.tree
    const tiles = new Map<string, Uint8Array>()
    for (const tile of tilesBetween(0, size)) {
      if (tile.level === "entries") continue
      const bytes = await nodes.tile(tile.level, tile.index, tile.width)
      assert.ok(bytes, tilePath(tile))
      tiles.set(tilePath(tile), bytes)
    }
    assert.deepEqual(treeRoot(size, nodeReader(size, tiles)), grown.root())
  }
})

test("nodes read back from the ledger prove what they proved before", async (t) => {
  const world = await makeLogWorld(t)
  const first = await startLog(t, world)
  for (let i = 0; i < 6; i++) {
    const batch = await Promise.all(
      Array.from({ length: 100 }, (_, at) => candidate(world, "acme/mnist", `${i}.0.${at}`)),
    )
    await first.log.append(batch)
  }
  const [before, consistency] = [await first.log.inclusion(300, 602), await first.log.consistency(302, 602)]
  const { root } = first.log.served.newest
  await first.close()
  const second = await startLog(t, world)
  assert.deepEqual(await second.log.inclusion(300, 602), before)
  assert.deepEqual(await second.log.consistency(302, 602), consistency)
  const [entry] = await second.ledger.entries(300, 301)
  verifyInclusion({ leaf: hashLeaf(entry?.leaf ?? new Uint8Array(0)), index: 300, size: 602, root, proof: before })
})

test("a process that was fenced off commits nothing more, and stops", async (t) => {
  const world = await makeLogWorld(t)
  const stale = await startLog(t, world)
  await stale.log.append([await candidate(world, "acme/mnist", "1.0.0")])
  const fresh = await startLog(t, world)
  await assert.rejects(stale.log.append([await candidate(world, "acme/mnist", "2.0.0")]), { code: "CONFLICT" })
  const faults: string[] = []
  const options = {
    maxItems: 9,
    maxBytes: 9,
    sizeOf: () => 1,
    onFailed: ({ code }: { code: string }) => faults.push(code),
  }
  const sequencer = new Sequencer<Candidate, Outcome>((batch) => stale.log.append(batch), options)
  await assert.rejects(sequencer.submit(await candidate(world, "acme/mnist", "2.0.0")), { code: "STORE_FAILED" })
  assert.deepEqual(faults, ["STORE_FAILED"])
  const [outcome] = await fresh.log.append([await candidate(world, "acme/mnist", "2.0.0")])
  assert.ok(outcome?.kind === "appended" && outcome.index === 3)
})

test("a signer that does not sign refuses the batch, and the next one is tried", async (t) => {
  const world = await makeLogWorld(t)
  let broken = false
  const sign = (message: Uint8Array): Uint8Array | Promise<Uint8Array> =>
    broken ? new Uint8Array(64) : world.noteSigner.sign(message)
  const { log } = await startLog(t, world, { signer: { vkey: world.noteSigner.vkey, sign } })
  const faults: string[] = []
  const options = {
    maxItems: 9,
    maxBytes: 9,
    sizeOf: () => 1,
    onFailed: ({ code }: { code: string }) => faults.push(code),
  }
  const sequencer = new Sequencer<Candidate, Outcome>((batch) => log.append(batch), options)
  broken = true
  await assert.rejects(sequencer.submit(await candidate(world, "acme/mnist", "1.0.0")), { code: "UNAVAILABLE" })
  broken = false
  const outcome = await sequencer.submit(await candidate(world, "acme/mnist", "1.0.0"))
  assert.ok(outcome.kind === "appended" && outcome.index === 2)
  assert.deepEqual(faults, [])
})

test("a commit that fails leaves no trace in what is served", async (t: TestContext) => {
  const world = await makeLogWorld(t)
  const first = await startLog(t, world)
  await first.close()
  class Failing extends SqliteLedger {
    failing = false
    override async commit(commit: Parameters<SqliteLedger["commit"]>[0]): Promise<void> {
      if (this.failing) throw new Error("EIO")
      await super.commit(commit)
    }
  }
  const ledger = new Failing(world.ledgerPath)
  t.after(() => ledger.close())
  const { log } = await startLog(t, world, { ledger })
  ledger.failing = true
  await assert.rejects(log.append([await candidate(world, "acme/mnist", "1.0.0")]))
  assert.equal(log.served.newest.size, 2)
})
