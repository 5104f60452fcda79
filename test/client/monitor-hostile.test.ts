/** A registry that does not want to be watched: whom it shows what, what it does not answer, and that the owner hears of it. */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { suite, test, type TestContext } from "node:test"
import { type Alert, monitor, monitorOnce, type MonitorOptions, type MonitorReport } from "@weighlock/client"
import type { Envelope, JsonObject, Signer, TrustChain } from "@weighlock/manifest"
import { makeLog, signPublish, writeLog } from "../support/log-folder.ts"
import { codeOf, tempFolder } from "../support/temp.ts"
import { noteKey, TinyLog } from "../support/tiny-log.ts"
import { ed25519Signer, logKey, makeChain, namespace, registry, role, vkey } from "../support/trust.ts"
import { startTiny } from "./tiny-registry.ts"

interface Watcher {
  /** Codes told since the last call. */
  told(): string[]
  run(changes?: Partial<MonitorOptions>): Promise<MonitorReport>
  readonly alerts: Alert[]
  readonly cursor: string
  readonly folder: string
  /** As if the last full reading had been so many seconds ago. */
  wait(seconds: number): void
}

function watcher(t: TestContext, chain: TrustChain, options: Partial<MonitorOptions>): Watcher {
  const home = tempFolder(t)
  const [folder, cursor, trust] = [join(home, "log"), join(home, "cursor.json"), join(home, "trust.json")]
  writeFileSync(trust, chain.envelopes[0] ?? "")
  const alerts: Alert[] = []
  let read = 0
  return {
    alerts,
    cursor,
    folder,
    told: () => alerts.slice(read, (read = alerts.length)).map(({ code }) => code),
    run: (changes = {}) =>
      monitorOnce({
        source: { kind: "folder", path: folder },
        trust,
        cursor,
        owned: ["acme/*"],
        deliver: async (alert) => void alerts.push(alert),
        ...options,
        ...changes,
      }),
    wait: (seconds) => {
      const text = readFileSync(cursor, "utf8")
      writeFileSync(
        cursor,
        text.replace(/"checkedAt":(\d+)/, (_, at: string) => `"checkedAt":${Number(at) - 1000 * seconds}`),
      )
    },
  }
}

async function witnessedLog(): Promise<{
  chain: TrustChain
  signer: Signer
  log: TinyLog
  envelopes: (Envelope | null)[]
}> {
  const [signer, witness] = [ed25519Signer(), noteKey("witness.example/w", undefined, 0x04)]
  const policy = `witness w ${witness.vkey}\nquorum w\n`
  const chain = await makeChain([signer], { log: { origin: `${registry}/log`, vkeys: [vkey], policy } })
  const log = new TinyLog(chain, logKey, [witness])
  const envelopes: (Envelope | null)[] = [null, null]
  for (let at = 0; at < 5; at++) envelopes.push(await signPublish(signer, at, 2))
  for (const envelope of envelopes) if (envelope !== null) log.publish(envelope)
  return { chain, signer, log, envelopes }
}

const now = (): number => Math.floor(Date.now() / 1000)

suite("a state that too few witnesses have confirmed", () => {
  test("is not taken; for longer than a minute it is told, once, and then the witnessed one is read", async (t) => {
    const { chain, log } = await witnessedLog()
    const watch = watcher(t, chain, {})
    writeLog(watch.folder, log)
    assert.deepEqual(await watch.run(), { from: 0, to: 0, alerts: 0 })
    watch.wait(61)
    for (let i = 0; i < 2; i++) assert.equal((await watch.run()).to, 0)
    assert.deepEqual(watch.told(), ["NOT_YET_WITNESSED"])
    writeFileSync(join(watch.folder, "checkpoint"), log.note(log.size, now()))
    assert.deepEqual(await watch.run({ maxStaleness: 60 }), { from: 0, to: 7, alerts: 0 })
  })
  test("a fork is told at once, whoever confirmed it, and both states are kept", async (t) => {
    const { chain, signer, log } = await witnessedLog()
    const watch = watcher(t, chain, {})
    writeLog(watch.folder, log)
    writeFileSync(join(watch.folder, "checkpoint"), log.note(log.size, now()))
    await watch.run()
    const fork = new TinyLog(chain, logKey)
    for (let at = 0; at < 9; at++) fork.publish(await signPublish(signer, at, 2, false, "fork"))
    const forked = join(tempFolder(t), "log")
    writeLog(forked, fork)
    for (let i = 0; i < 2; i++) await watch.run({ source: { kind: "folder", path: forked } })
    assert.deepEqual(watch.told(), ["FORK"])
    const kept = readdirSync(`${watch.cursor}.evidence`)
    assert.equal(kept.length, 1)
    const [folder = ""] = kept
    assert.ok(watch.alerts[0]?.message.includes(folder))
    const own = join(`${watch.cursor}.evidence`, folder)
    assert.deepEqual(readdirSync(own).toSorted(), ["README.txt", "proof.json", "seen.checkpoint", "shown.checkpoint"])
    assert.equal(readFileSync(join(own, "shown.checkpoint"), "utf8"), fork.note())
    writeFileSync(join(watch.folder, "checkpoint"), log.note(5))
    await watch.run()
    assert.deepEqual(watch.told(), ["ROLLBACK"])
    assert.equal(readdirSync(`${watch.cursor}.evidence`).length, 2)
  })
})

suite("503", { concurrency: 5 }, () => {
  for (const path of ["log/checkpoint", "log/tile/entries", "log/tile/0", "log/payload"]) {
    test(`for ${path}: silence, from the first run on`, { timeout: 300_000 }, async (t) => {
      const { chain, signer, log, envelopes } = await witnessedLog()
      const large = await signPublish(signer, 7, 2, true)
      envelopes.push(large)
      log.publish(large)
      const peer = await startTiny(t, { chain, log, envelopes, time: now() })
      const watch = watcher(t, chain, { source: { kind: "registry", url: peer.url } })
      peer.over = (asked) => (asked.startsWith(path) ? { status: 503 } : null)
      assert.equal(await codeOf(() => watch.run({ maxStaleness: 3600 })), "UNAVAILABLE")
      assert.deepEqual([watch.told(), existsSync(watch.cursor)], [[], true])
      assert.equal(await codeOf(() => watch.run({ maxStaleness: 1 })), "UNAVAILABLE")
      assert.deepEqual(watch.told(), ["STALE"])
      peer.over = () => null
      assert.equal((await watch.run({ maxStaleness: 60 })).to, 8)
      assert.deepEqual(watch.told(), [])
      if (path !== "log/checkpoint") return
      peer.over = (asked) => (asked.startsWith(path) ? { status: 503 } : null)
      watch.wait(3601) // more than anyone accepts who has not said anything
      assert.equal(await codeOf(() => watch.run()), "UNAVAILABLE")
      assert.deepEqual(watch.told(), ["STALE"])
    })
  }
  test("what was found before it is told all the same", { timeout: 300_000 }, async (t) => {
    const { chain, log, envelopes } = await witnessedLog()
    const peer = await startTiny(t, { chain, log, envelopes, time: now() - 600 })
    const watch = watcher(t, chain, { source: { kind: "registry", url: peer.url } })
    peer.over = (asked) => (asked.startsWith("log/tile/entries") ? { status: 503 } : null)
    assert.equal(await codeOf(() => watch.run({ maxStaleness: 300 })), "UNAVAILABLE")
    assert.deepEqual(watch.told(), ["STALE"])
  })
})

test("a log that began with another trust root is told, and nothing of it is taken", async (t) => {
  const [mine, other] = [await makeLog({ publishes: 3 }), await makeLog({ publishes: 3 })]
  const watch = watcher(t, mine.chain, {})
  writeLog(watch.folder, other.log)
  for (let i = 0; i < 2; i++) assert.equal((await watch.run()).to, 0)
  assert.deepEqual(watch.told(), ["LOG_INVALID"])
  assert.match(watch.alerts[0]?.message ?? "", /trust root/)
  writeLog(watch.folder, mine.log)
  assert.deepEqual(await watch.run(), { from: 0, to: 5, alerts: 0 })
})

suite("who may publish", () => {
  const teams = async (): Promise<{ chain: TrustChain; acme: Signer; beta: Signer }> => {
    const [acme, beta] = [ed25519Signer(), ed25519Signer()]
    const own = (pattern: string, signer: Signer): JsonObject => namespace(pattern, role(1, signer))
    const namespaces = [own("acme/*", acme), own("beta/*", beta)]
    return { chain: await makeChain([acme, beta], { namespaces }), acme, beta }
  }
  test("a key of another team on your name: unknown, and against the rules, without naming any key", async (t) => {
    const { chain, acme, beta } = await teams()
    const log = new TinyLog(chain, logKey)
    log.publish(await signPublish(acme, 0, 1))
    log.publish(await signPublish(beta, 1, 1))
    const watch = watcher(t, chain, {})
    writeLog(watch.folder, log)
    await watch.run()
    assert.deepEqual(
      watch.alerts.map(({ id }) => id),
      ["UNKNOWN_KEY:3", "RULE_BROKEN:3"],
    )
  })
  test("an envelope of yours under another name of yours", async (t) => {
    const { chain, acme } = await teams()
    const log = new TinyLog(chain, logKey)
    log.publish(await signPublish(acme, 0, 1), { model: "acme/fraud", subject: "9.9.9" })
    const watch = watcher(t, chain, {})
    writeLog(watch.folder, log)
    await watch.run()
    assert.deepEqual(
      watch.alerts.map(({ id }) => id),
      ["RULE_BROKEN:2"],
    )
  })
})

suite("a pinned root that a registry does not give at the first run", () => {
  const answers: Record<string, (path: string) => { status?: number; body?: Uint8Array | string } | null> = {
    "nothing there": () => ({ status: 404 }),
    "not for us": () => ({ status: 403 }),
    "too long a token": () => ({ status: 431 }),
    "no checkpoint": () => ({ body: "hello" }),
    "an empty log": () => ({
      body: `${registry}/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— x AAAAAAAA\n`,
    }),
    "a log without end": (path) =>
      path.endsWith("checkpoint")
        ? { body: `${registry}/log\n9007199254740991\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— x AAAAAAAA\n` }
        : null,
    "no entries": (path) => (path.startsWith("log/tile/entries") ? { body: Buffer.alloc(99, 7) } : null),
  }
  for (const [what, answer] of Object.entries(answers)) {
    test(`${what}: it goes on asking, and says so each time; then it watches`, { timeout: 300_000 }, async (t) => {
      const { chain, log, envelopes } = await witnessedLog()
      const peer = await startTiny(t, { chain, log, envelopes, time: now() })
      peer.over = answer
      const [troubles, runs, stop]: [unknown[], MonitorReport[], AbortController] = [[], [], new AbortController()]
      await monitor({
        source: { kind: "registry", url: peer.url },
        trust: `sha256:${chain.current.digest}`,
        cursor: join(tempFolder(t), "cursor.json"),
        owned: ["acme/*"],
        deliver: () => Promise.reject(new Error("there is nothing to tell")),
        interval: 1,
        signal: stop.signal,
        onTrouble: (error) => {
          troubles.push(error)
          if (troubles.length === 3) peer.over = () => null
        },
        onRun: (report) => {
          runs.push(report)
          stop.abort()
        },
      })
      assert.equal(troubles.length, 3)
      assert.deepEqual(runs, [{ from: 0, to: 7, alerts: 0 }])
    })
  }
  test("another root than the pinned one", async (t) => {
    const [{ chain }, other] = await Promise.all([witnessedLog(), witnessedLog()])
    const peer = await startTiny(t, { ...other, time: now() })
    const options = {
      source: { kind: "registry", url: peer.url } as const,
      trust: `sha256:${chain.current.digest}`,
      cursor: join(tempFolder(t), "cursor.json"),
      owned: ["acme/*"],
      deliver: () => Promise.resolve(),
    }
    assert.equal(await codeOf(() => monitorOnce(options)), "TRUST_UNREADABLE")
    const [codes, stop]: [unknown[], AbortController] = [[], new AbortController()]
    const onTrouble = (error: unknown): void => {
      codes.push((error as { code?: unknown }).code)
      if (codes.length === 2) stop.abort()
    }
    await monitor({ ...options, interval: 1, signal: stop.signal, onTrouble })
    assert.deepEqual(codes, ["TRUST_UNREADABLE", "TRUST_UNREADABLE"])
  })
  test("a trust root of our own that cannot be read ends it", async (t) => {
    const folder = tempFolder(t)
    const source = { kind: "registry", url: "http://127.0.0.1:1" } as const
    const options = { source, cursor: join(folder, "cursor"), owned: ["acme/*"], deliver: () => Promise.resolve() }
    const watch = (): Promise<void> => monitor({ ...options, trust: join(folder, "not there"), interval: 1 })
    assert.equal(await codeOf(watch), "TRUST_UNREADABLE")
  })
})
