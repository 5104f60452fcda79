/** Somebody who owns names and watches the log: what he is told, that it is told at least once, and that nothing is skipped. */
import assert from "node:assert/strict"
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { suite, test, type TestContext } from "node:test"
import { type Alert, monitor, monitorOnce, type MonitorOptions, type MonitorReport } from "@weighlock/client"
import { parseLeaf } from "@weighlock/manifest"
import { makeHistories, newClient } from "../support/forked.ts"
import { flipByte, made } from "../support/hostile.ts"
import { makeLog, type MadeLog, signPublish, writeLog } from "../support/log-folder.ts"
import { codeOf, tempFolder } from "../support/temp.ts"
import { TinyLog } from "../support/tiny-log.ts"
import { ed25519Signer, logKey, makeChain } from "../support/trust.ts"

interface Watcher {
  readonly options: MonitorOptions
  readonly alerts: Alert[]
  /** Codes and indexes of what was delivered since the last call. */
  told(): (string | undefined)[]
  run(changes?: Partial<MonitorOptions>): Promise<MonitorReport>
  readonly folder: string
}

function watcher(t: TestContext, { chain, signer }: Pick<MadeLog, "chain" | "signer">): Watcher {
  const home = tempFolder(t)
  const folder = join(home, "log")
  const trust = join(home, "trust.json")
  writeFileSync(trust, chain.envelopes[0] ?? "")
  const alerts: Alert[] = []
  let read = 0
  const options: MonitorOptions = {
    source: { kind: "folder", path: folder },
    trust,
    cursor: join(home, "cursor.json"),
    owned: ["acme/*"],
    keys: [signer.publicKey.keyid],
    deliver: async (alert) => void alerts.push(alert),
  }
  return {
    options,
    alerts,
    folder,
    told: () =>
      alerts
        .slice(read, (read = alerts.length))
        .map(({ code, index }) => (index === undefined ? code : `${code} ${index}`)),
    run: (changes = {}) => monitorOnce({ ...options, ...changes }),
  }
}

test("it starts at entry 0, and says nothing when nothing is wrong; then it reads only what is new", async (t) => {
  const made = await makeLog({ publishes: 598 })
  const watch = watcher(t, made)
  writeLog(watch.folder, made.log, 300)
  assert.deepEqual(await watch.run(), { from: 0, to: 300, alerts: 0 })
  writeLog(watch.folder, made.log)
  assert.deepEqual(await watch.run(), { from: 300, to: 600, alerts: 0 })
  assert.deepEqual(await watch.run(), { from: 600, to: 600, alerts: 0 })
  assert.deepEqual(watch.told(), [])
})

suite("alerts about entries", () => {
  test("a name of yours under a key that you did not name, whoever trusts it", async (t) => {
    const [alice, bob] = [ed25519Signer(), ed25519Signer()]
    const chain = await makeChain([alice, bob])
    const log = new TinyLog(chain, logKey)
    for (let at = 0; at < 10; at++) log.publish(await signPublish(at === 6 ? bob : alice, at, 3))
    const watch = watcher(t, { chain, signer: alice })
    writeLog(watch.folder, log)
    await watch.run()
    assert.deepEqual(watch.told(), ["UNKNOWN_KEY 8"])
    const [alert] = watch.alerts
    assert.deepEqual(
      [alert?.model, alert?.version, alert?.keyids, alert?.id],
      ["acme/model-0", "1.2.0", [bob.publicKey.keyid], "UNKNOWN_KEY:8"],
    )
    await watch.run()
    assert.deepEqual(watch.told(), [])
    const others = watcher(t, { chain, signer: alice })
    writeLog(others.folder, log)
    await others.run({ owned: ["acme/model-1", "beta/*"] })
    assert.deepEqual(others.told(), [])
    const careful = watcher(t, { chain, signer: alice })
    writeLog(careful.folder, log)
    await careful.run({ keys: [], owned: ["acme/model-1"] })
    assert.deepEqual(careful.told(), ["UNKNOWN_KEY 3", "UNKNOWN_KEY 6", "UNKNOWN_KEY 9"])
  })
  test("a gap in the numbers, a broken link, a stranger, a signature that fails, and what is no entry", async (t) => {
    const made = await makeLog({ publishes: 7 })
    const { log, signer } = made
    const next = (at: number): ReturnType<typeof signPublish> => signPublish(signer, at, 7)
    log.publish(await next(7), { seq: 5 })
    log.publish(await next(8), { prev: new Uint8Array(32) })
    log.publish(await signPublish(ed25519Signer(), 9, 7))
    const broken = await next(10)
    log.publish({ ...broken, signatures: broken.signatures.map((one) => ({ ...one, sig: new Uint8Array(64) })) })
    log.append(Buffer.from("hello"), new Uint8Array(0))
    const watch = watcher(t, made)
    writeLog(watch.folder, log)
    await watch.run()
    assert.deepEqual(watch.told(), ["GAP 9", "GAP 10", "RULE_BROKEN 11", "LOG_INVALID 12", "LOG_INVALID 13"])
  })
  test("a payload that is gone or was changed", async (t) => {
    const made = await makeLog({ publishes: 20, largeEvery: 10 })
    const watch = watcher(t, made)
    writeLog(watch.folder, made.log)
    const path = join(
      watch.folder,
      "payload/sha256",
      parseLeaf(made.log.entries[11] ?? new Uint8Array(0)).payload.sha256,
    )
    rmSync(path)
    await watch.run()
    assert.deepEqual(watch.told(), ["LOG_INVALID 11"])
  })
})

suite("alerts about the log itself: once while they last, and the cursor stays", () => {
  test("it shows less: ROLLBACK; and a fork: FORK; and when it is itself again it goes on", async (t) => {
    const made = await makeLog({ publishes: 298 })
    const watch = watcher(t, made)
    writeLog(watch.folder, made.log)
    await watch.run()
    const checkpoint = join(watch.folder, "checkpoint")
    writeFileSync(checkpoint, made.log.note(299))
    await watch.run()
    await watch.run()
    assert.deepEqual(watch.told(), ["ROLLBACK"])
    const fork = new TinyLog(made.chain, logKey)
    for (let at = 0; fork.size < 310; at++) fork.publish(await signPublish(made.signer, at, 7, false, "fork"))
    const forked = join(tempFolder(t), "log")
    writeLog(forked, fork)
    await watch.run({ source: { kind: "folder", path: forked } })
    assert.deepEqual(watch.told(), ["FORK"])
    assert.equal((JSON.parse(readFileSync(watch.options.cursor, "utf8")) as { done: number }).done, 300)
    made.log.publish(await signPublish(made.signer, 298, 7))
    writeLog(watch.folder, made.log)
    assert.deepEqual(await watch.run(), { from: 300, to: 301, alerts: 0 })
  })
  test("a bundle that is changed or gone: GAP, and no entry after it is passed over", async (t) => {
    const made = await makeLog({ publishes: 598 })
    const watch = watcher(t, made)
    writeLog(watch.folder, made.log)
    const path = join(watch.folder, "tile/entries/001")
    const bytes = readFileSync(path)
    writeFileSync(path, flipByte(bytes))
    assert.deepEqual(await watch.run(), { from: 0, to: 256, alerts: 1 })
    renameSync(path, `${path}.gone`)
    await watch.run()
    assert.deepEqual(watch.told(), ["GAP 256"])
    writeFileSync(path, bytes)
    assert.deepEqual(await watch.run(), { from: 256, to: 600, alerts: 0 })
  })
  test("a checkpoint that nobody signed: LOG_INVALID", async (t) => {
    const made = await makeLog({ publishes: 3 })
    const watch = watcher(t, made)
    writeLog(watch.folder, made.log)
    const path = join(watch.folder, "checkpoint")
    writeFileSync(path, flipByte(readFileSync(path), 30))
    await watch.run()
    assert.deepEqual(watch.told(), ["LOG_INVALID"])
  })
  test("no witness says that it is fresh: STALE, once", async (t) => {
    const made = await makeLog({ publishes: 3 })
    const watch = watcher(t, made)
    writeLog(watch.folder, made.log)
    await watch.run({ maxStaleness: 60 })
    await watch.run({ maxStaleness: 60 })
    assert.deepEqual(watch.told(), ["STALE"])
  })
})

test("nobody answers for longer than is accepted: STALE, once, and the run still fails", async (t) => {
  const made = await makeLog({ publishes: 3 })
  const watch = watcher(t, made)
  writeLog(watch.folder, made.log)
  await watch.run()
  const checkpoint = join(watch.folder, "checkpoint")
  renameSync(checkpoint, `${checkpoint}.gone`)
  assert.equal(await codeOf(() => watch.run({ maxStaleness: 3600 })), "NOT_FOUND")
  assert.deepEqual(watch.told(), [])
  for (let i = 0; i < 2; i++) assert.equal(await codeOf(() => watch.run({ maxStaleness: 0 })), "NOT_FOUND")
  assert.deepEqual(watch.told(), ["STALE"])
})

test("under a pin: the trust root comes from the log once, and then nobody can withhold it", async (t) => {
  const made = await makeLog({ publishes: 3 })
  const watch = watcher(t, made)
  const trust = `sha256:${made.chain.current.digest}`
  writeLog(watch.folder, made.log)
  await watch.run({ trust })
  rmSync(join(watch.folder, "tile/entries/000.p/5"))
  assert.deepEqual(await watch.run({ trust }), { from: 5, to: 5, alerts: 0 })
  assert.equal(await codeOf(() => watch.run({ trust: `sha256:${"0".repeat(64)}` })), "TRUST_UNREADABLE")
})

for (const pattern of ["acme", "acme/", "*", "acme/**", "Acme/x", ""]) {
  test(`what is no pattern is refused: ${JSON.stringify(pattern)}`, async (t) => {
    const watch = watcher(t, await makeLog({ publishes: 1 }))
    assert.equal(await codeOf(() => watch.run({ owned: [pattern] })), "USAGE")
  })
}

suite("delivery", () => {
  test("an alert that is not delivered stops the run there, and the next one delivers it: at least once, in order", async (t) => {
    const [alice, bob] = [ed25519Signer(), ed25519Signer()]
    const chain = await makeChain([alice, bob])
    const log = new TinyLog(chain, logKey)
    for (let at = 0; at < 300; at++) log.publish(await signPublish(at % 50 === 49 ? bob : alice, at, 3))
    const watch = watcher(t, { chain, signer: alice })
    writeLog(watch.folder, log)
    let refuse = 0
    const deliver = async (alert: Alert): Promise<void> => {
      if (refuse++ % 3 === 2) throw new Error("the pager is down")
      await watch.options.deliver(alert)
    }
    let runs = 0
    while (runs < 20 && (await watch.run({ deliver }).catch(() => null)) === null) runs++
    const indexes = watch.alerts.map(({ index }) => index)
    assert.deepEqual(indexes, [51, 101, 151, 201, 251, 301])
    assert.equal(runs, 2)
    assert.deepEqual(await watch.run(), { from: 302, to: 302, alerts: 0 })
  })
  test("a name that is watched only later: its past is read then, what was told is not told again", async (t) => {
    const [alice, bob] = [ed25519Signer(), ed25519Signer()]
    const chain = await makeChain([alice, bob])
    const log = new TinyLog(chain, logKey)
    for (let at = 0; at < 9; at++) log.publish(await signPublish(bob, at, 3))
    const watch = watcher(t, { chain, signer: alice })
    writeLog(watch.folder, log, 8)
    await watch.run({ owned: [] })
    assert.deepEqual(watch.told(), [])
    await watch.run({ owned: ["acme/model-0"] })
    assert.deepEqual(watch.told(), ["UNKNOWN_KEY 2", "UNKNOWN_KEY 5"])
    writeLog(watch.folder, log)
    await watch.run({ owned: ["acme/model-0", "acme/model-1"] })
    assert.deepEqual(watch.told(), ["UNKNOWN_KEY 3", "UNKNOWN_KEY 6", "UNKNOWN_KEY 8", "UNKNOWN_KEY 9"])
    await watch.run({ owned: ["acme/model-1"] })
    await watch.run({ owned: ["acme/model-1"] })
    assert.deepEqual(watch.told(), [])
  })
  test("a cursor of another trust root, or that somebody changed, is not taken", async (t) => {
    const made = await makeLog({ publishes: 3 })
    const watch = watcher(t, made)
    writeLog(watch.folder, made.log)
    await watch.run()
    const cursor = readFileSync(watch.options.cursor, "utf8")
    const other = watcher(t, await makeLog({ publishes: 1 }))
    assert.equal(await codeOf(() => other.run({ cursor: watch.options.cursor, source: watch.options.source })), "USAGE")
    const garbage = [
      "",
      "{}",
      "null",
      cursor.slice(0, -1),
      `${cursor} `,
      cursor.replace('"done":5', '"done":6'),
      cursor.replace(/"note":"[^"]+"/, '"note":"?"'),
    ]
    for (const text of garbage) {
      writeFileSync(watch.options.cursor, text)
      assert.equal(await codeOf(() => watch.run()), "STATE_DAMAGED", text)
    }
  })
})

test("a real registry, watched at an interval: unknown keys are told while it runs, silence when it is gone", async (t) => {
  const histories = await makeHistories(t)
  const client = await newClient(t, histories)
  const alerts: Alert[] = []
  const stop = new AbortController()
  const reports: MonitorReport[] = []
  const troubles: unknown[] = []
  const until = async (done: () => boolean): Promise<void> => {
    for (let i = 0; i < 400 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 25))
    assert.ok(done())
  }
  const running = monitor({
    source: { kind: "registry", url: client.options.registry },
    trust: histories.world.trust,
    cursor: join(tempFolder(t), "cursor.json"),
    owned: ["acme/mnist"],
    keys: [],
    deliver: async (alert) => void alerts.push(alert),
    interval: 50,
    signal: stop.signal,
    onRun: (report) => reports.push(report),
    onTrouble: (error) => troubles.push(error),
  })
  client.show(histories.older)
  await until(() => reports.length > 1)
  assert.deepEqual(
    alerts.map(({ index }) => index),
    [2, 3],
  )
  client.show(histories.main)
  await until(() => alerts.length === 5)
  client.show(histories.fork)
  await until(() => alerts.length === 6)
  assert.equal(alerts[5]?.code, "FORK")
  client.proxy.rule = () => made(404)
  await until(() => troubles.length > 0)
  stop.abort()
  await running
})
