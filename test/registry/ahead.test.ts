/** While one batch is committed the next is planned on top of it: it sees what the ledger does not show yet, and falls with it. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { setImmediate } from "node:timers/promises"

import { ReplayedHistory, openEntry } from "@weighlock/manifest"
import { type Candidate, type LogCommit, SqliteLedger } from "@weighlock/registry"
import { GrowingTree, hashLeaf, verifyInclusion } from "@weighlock/tlog"

import { type LogWorld, candidate, makeLogWorld, startLog } from "./log-support.ts"

/** A ledger whose commits wait until they are let through, or fail. */
class Gate extends SqliteLedger {
  readonly arrived: LogCommit[] = []
  #open: (() => Promise<void>)[] = []

  override commit(commit: LogCommit): Promise<void> {
    if (commit.to.size <= 2) return super.commit(commit) // the log's own beginning
    this.arrived.push(commit)
    return new Promise((resolve, reject) => this.#open.push(() => super.commit(commit).then(resolve, reject)))
  }

  async pass(): Promise<void> {
    await this.#open.shift()?.()
  }
}

async function gated(t: TestContext) {
  const world = await makeLogWorld(t)
  const ledger = new Gate(world.ledgerPath)
  t.after(() => ledger.close())
  let signed = 0
  const sign = (message: Uint8Array): Uint8Array | Promise<Uint8Array> => {
    signed += 1
    return world.noteSigner.sign(message)
  }
  const { log } = await startLog(t, world, { ledger, signer: { vkey: world.noteSigner.vkey, sign } })
  const before = signed
  return { world, ledger, log, signed: () => signed - before }
}

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await setImmediate()
}

const some = (world: LogWorld, count: number, minor: number): Promise<Candidate[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => candidate(world, `acme/m${i % 3}`, `1.${minor}.${i}`)))

test("the next batch is planned and signed while one is committed, and neither is shown before its own commit", async (t) => {
  const { world, ledger, log, signed } = await gated(t)
  const answers: string[] = []
  const first = log.append([await candidate(world, "acme/a", "1.0.0")]).then(() => answers.push("first"))
  const second = log.append([await candidate(world, "acme/a", "1.0.1")]).then(() => answers.push("second"))
  await turns()
  assert.equal(signed(), 2)
  assert.equal(ledger.arrived.length, 1) // one commit at a time
  assert.equal(log.served.newest.size, 2)
  await ledger.pass()
  await first
  await turns()
  assert.deepEqual(answers, ["first"])
  assert.equal(log.served.newest.size, 3)
  await ledger.pass()
  await second
  assert.equal(log.served.newest.size, 4)
})

test("a version planned and not yet committed is held: the answers come after its commit, not before", async (t) => {
  const { world, ledger, log } = await gated(t)
  const mine = await candidate(world, "acme/a", "1.0.0")
  const other = await candidate(world, "acme/a", "1.0.0", 1)
  const appended = log.append([mine])
  let answered = false
  const rest = log.append([mine, other]).finally(() => (answered = true))
  await turns()
  assert.equal(answered, false)
  await ledger.pass()
  assert.equal((await appended)[0]?.kind, "appended")
  const [again, refused] = await rest
  assert.deepEqual(again, { kind: "held", index: 2 })
  assert.ok(refused?.kind === "refused" && refused.error.code === "VERSION_EXISTS")
  assert.equal(ledger.arrived.length, 1)
})

test("batches on top of each other give the tree and the chains of one history, over the end of a tile as well", async (t) => {
  const world = await makeLogWorld(t)
  const { log, ledger } = await startLog(t, world)
  const batches = await Promise.all([100, 120, 90, 250, 3].map((count, minor) => some(world, count, minor)))
  await Promise.all(batches.map((batch) => log.append(batch)))
  const { size, root } = log.served.newest
  assert.equal(size, 2 + 563)
  const tree = new GrowingTree()
  const keys = new Map([...world.trustChain.current.keys].map(([keyid, { key }]) => [keyid, key]))
  const replayed = new ReplayedHistory(world.trustChain)
  for (const { index, leaf } of await ledger.entries(0, size)) {
    tree.append(hashLeaf(leaf))
    replayed.apply(openEntry(leaf, null, keys, "native")) // seq and prev of every model
    if (index % 50 === 0) {
      verifyInclusion({ leaf: hashLeaf(leaf), index, size, root, proof: await log.inclusion(index, size) })
    }
  }
  assert.deepEqual(tree.root(), root)
  assert.ok(await ledger.tile(0, 0))
  assert.ok(await ledger.tile(0, 1))
})

test("what was planned on top of a commit that fails is never committed, and nothing after it", async (t) => {
  const world = await makeLogWorld(t)
  await (await startLog(t, world)).close()
  class Failing extends SqliteLedger {
    readonly arrived: LogCommit[] = []
    override commit(commit: LogCommit): Promise<void> {
      this.arrived.push(commit)
      return Promise.reject(new Error("EIO"))
    }
  }
  const failing = new Failing(world.ledgerPath)
  t.after(() => failing.close())
  const { log: doomed } = await startLog(t, world, { ledger: failing })
  const held = await candidate(world, "acme/a", "1.0.0")
  const outcomes = await Promise.allSettled([
    doomed.append([held]),
    doomed.append([await candidate(world, "acme/a", "1.0.1")]),
    doomed.append([held]), // rests on the first, and has no entry of its own
  ])
  const codes = outcomes.map((each) => each.status === "rejected" && ((each.reason as { code?: string }).code ?? "EIO"))
  assert.deepEqual(codes, ["EIO", "STORE_FAILED", "STORE_FAILED"])
  await assert.rejects(doomed.append([await candidate(world, "acme/b", "1.0.0")]), { code: "STORE_FAILED" })
  assert.equal(failing.arrived.length, 1)
  assert.equal(doomed.served.newest.size, 2)
  assert.equal((await failing.head())?.size, 2)
})

test("what runs alone waits for every batch under way, and the next batch for it", async (t) => {
  const { world, ledger, log } = await gated(t)
  const steps: string[] = []
  const first = log.append([await candidate(world, "acme/a", "1.0.0")])
  const alone = log.alone(async () => {
    steps.push("alone")
    assert.equal(log.served.newest.size, 3)
    await turns()
    assert.equal(ledger.arrived.length, 1)
    steps.push("ended")
  })
  const second = log.append([await candidate(world, "acme/a", "1.0.1")]).then(() => steps.push("second"))
  await turns()
  assert.deepEqual(steps, [])
  await ledger.pass()
  await Promise.all([first, alone])
  await turns()
  await ledger.pass()
  await second
  assert.deepEqual(steps, ["alone", "ended", "second"])
})
