/** A real registry, its log and its API: audited over HTTP, exported, and caught where the two say different things. */
import assert from "node:assert/strict"
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { after, suite, test, type TestContext } from "node:test"
import {
  audit,
  auditExit,
  type AuditOptions,
  type AuditReport,
  exportLog,
  publishModel,
  receiptBytes,
} from "@weighlock/client"
import { makeHistories, newClient, type Client } from "../support/forked.ts"
import { flipByte, made, type Rule } from "../support/hostile.ts"
import { model, publishFiles, signFolder, tree, writeFiles } from "../support/published.ts"
import { codeOf, tempFolder } from "../support/temp.ts"
import { sample } from "../support/thorough.ts"

const histories = await makeHistories({ after } as unknown as TestContext)
const { main, older, fork, forkReceipt, world } = histories

const live = async ({ options }: Client, changes: Partial<AuditOptions> = {}): Promise<AuditReport> =>
  await audit({
    source: { kind: "registry", url: options.registry },
    trust: world.trust,
    state: options.state,
    ...changes,
  })

suite("live", { concurrency: 2 }, () => {
  test("a registry that is as its log says: clean, every version compared", async (t) => {
    const client = await newClient(t, histories)
    const report = await live(client)
    assert.deepEqual(report.findings, [])
    assert.deepEqual(
      [report.size, report.judged, report.models, report.versions, report.live?.versions],
      [7, 7, 1, 5, 5],
    )
    assert.deepEqual([(await live(client)).seen, auditExit(report)], [{ size: 7, consistent: true }, 0])
  })
  test("what this machine has seen is the yardstick: a fork and a rollback are found, with evidence", async (t) => {
    const client = await newClient(t, histories)
    await live(client)
    client.show(fork)
    assert.deepEqual(
      (await live(client)).findings.map(({ code, check }) => [code, check]),
      [["LOG_INVALID", "consistency"]],
    )
    client.show(older)
    assert.deepEqual(
      (await live(client)).findings.map(({ code, check }) => [code, check]),
      [["ROLLBACK", "shrunk"]],
    )
    assert.equal(tree(client.options.state).filter((name) => name.endsWith("README.txt")).length, 2)
    client.show(main)
    assert.equal(auditExit(await live(client)), 0)
  })
  test("receipts: of this history fine, of another one withheld", async (t) => {
    const client = await newClient(t, histories)
    const receipts = tempFolder(t)
    writeFileSync(join(receipts, "a.json"), receiptBytes(forkReceipt))
    const report = await live(client, { receipts })
    assert.deepEqual(
      report.findings.map(({ code, index }) => [code, index]),
      [
        ["WITHHELD", 4],
        ["LOG_INVALID", 4],
      ],
    )
    client.show(fork)
    assert.equal(auditExit(await live(client, { receipts, state: tempFolder(t) })), 0)
  })

  const bundleOf = (version: string): string => `/api/v1/models/${model}/versions/${version}`
  const json = (change: (value: any) => void): ((answer: { body: Buffer }) => ReturnType<typeof made>) => {
    return ({ body }) => {
      const value = JSON.parse(body.toString())
      change(value)
      return made(200, JSON.stringify(value))
    }
  }
  const on =
    (path: string | RegExp, change: (answer: { body: Buffer }) => ReturnType<typeof made>): Rule =>
    (exchange) =>
      (typeof path === "string" ? exchange.path === path : path.test(exchange.path)) ? change(exchange.answer) : null
  const forkBundle = Buffer.from(receiptBytes(forkReceipt))
  const lies: readonly (readonly [string, Rule, (number | undefined)[]])[] = [
    ["a version is gone", on(bundleOf("1.0.1"), () => made(404, { code: "NOT_FOUND" })), [3]],
    ["a version is another one", on(bundleOf("1.0.2"), () => made(200, forkBundle)), [4]],
    ["a manifest is gone", on(/\/manifests\//, () => made(404)), [2, 3, 4, 5, 6]],
    [
      "a bundle without its proof",
      on(
        bundleOf("1.0.3"),
        json((value) => delete value.proof),
      ),
      [5],
    ],
    ["a bundle with a flipped byte", on(bundleOf("1.0.3"), ({ body }) => made(200, flipByte(body))), [5]],
    ["a bundle that is no JSON", on(bundleOf("1.0.3"), () => made(200, "<html>")), [5]],
    [
      "a version is not listed",
      on(
        `/api/v1/models/${model}`,
        json((value) => value.versions.splice(2, 1)),
      ),
      [undefined],
    ],
    [
      "a version is listed with another manifest",
      on(
        `/api/v1/models/${model}`,
        json((value) => (value.versions[1].manifest = "0".repeat(64))),
      ),
      [undefined],
    ],
    [
      "a version is listed that was never logged",
      on(
        `/api/v1/models/${model}`,
        json((value) => value.versions.push({ ...value.versions[0], version: "6.6.6" })),
      ),
      [undefined],
    ],
    [
      "a model is not listed",
      on(
        "/api/v1/models",
        json((value) => (value.models = [])),
      ),
      [undefined],
    ],
    ["another trust root", on("/api/v1/trust/1", () => made(200, forkBundle)), [1]],
  ]
  for (const [why, rule, indexes] of sample(lies, 2)) {
    test(`found: ${why}`, async (t) => {
      const client = await newClient(t, histories)
      client.proxy.rule = rule
      const report = await live(client)
      assert.deepEqual(
        report.findings.map(({ check, index }) => [check, index]).toSorted((a, b) => Number(a[1]) - Number(b[1])),
        indexes.map((index) => ["live", index]),
      )
      assert.equal(auditExit(report), 14)
      client.proxy.rule = rule
      assert.equal(auditExit(await live(client, { live: false, state: tempFolder(t) })), 0)
    })
  }
  for (const [why, models] of [
    ["climbs out of the path", [{ model: "../../admin?x=/y", versions: 1 }]],
    ["is no model", [{ model: "acme", versions: 1 }]],
  ] as const) {
    test(`found: a name in the list that ${why}; it is not asked for`, async (t) => {
      const client = await newClient(t, histories)
      client.proxy.rule = on(
        "/api/v1/models",
        json((value) => value.models.push(...models)),
      )
      assert.deepEqual(
        (await live(client)).findings.map(({ check }) => check),
        ["live"],
      )
      assert.equal(
        client.proxy.seen.some(({ path }) => path.includes("admin")),
        false,
      )
    })
  }
  test("bundles that come compressed unasked are fine; a bomb, or anything else compressed, is not", async (t) => {
    const client = await newClient(t, histories)
    const gzip = { "content-encoding": "gzip" }
    const zip = (path: string, bytes: (body: Buffer) => Buffer): Rule => {
      return ({ path: asked, answer }) =>
        asked.startsWith(path) ? { ...answer, headers: gzip, body: gzipSync(bytes(answer.body)) } : null
    }
    client.proxy.rule = zip("/log/tile/entries", (body) => body)
    assert.equal(auditExit(await live(client)), 0)
    client.proxy.rule = zip("/log/tile/entries", () => Buffer.alloc(2 ** 26))
    assert.deepEqual((await live(client)).findings[0]?.check, "bundle")
    client.proxy.rule = zip("/log/tile/0", (body) => body)
    assert.deepEqual((await live(client)).findings[0]?.check, "tile")
  })
  test("a version listed that was never logged, with a bundle of somewhere else", async (t) => {
    const client = await newClient(t, histories)
    client.proxy.rule = (exchange) => {
      if (exchange.path === bundleOf("6.6.6")) return made(200, forkBundle)
      return lies.find(([why]) => why.includes("never logged"))?.[1](exchange) ?? null
    }
    assert.deepEqual(
      (await live(client)).findings.map(({ check }) => check),
      ["live"],
    )
  })
  test("what is published while an audit runs is no finding", async (t) => {
    const client = await newClient(t, histories)
    const folder = tempFolder(t)
    const publishing = async (): Promise<void> => {
      writeFiles(folder, { "model.json": Buffer.from("late") })
      const envelope = await signFolder(folder, [world.signer], { version: "8.0.0", model: "acme/late" })
      await publishModel(folder, envelope, { ...client.options, registry: main.url, state: tempFolder(t) })
    }
    const started: Promise<void>[] = []
    client.proxy.rule = ({ path }) => {
      if (path.startsWith("/log/tile/entries") && started.length === 0) started.push(publishing())
      return null
    }
    const report = await live(client)
    await Promise.all(started)
    assert.deepEqual(report.findings, [])
    const again = await live(client)
    assert.deepEqual([again.findings, again.models], [[], 2])
  })
  test("a registry that is busy is no finding: UNAVAILABLE", async (t) => {
    const client = await newClient(t, histories)
    client.proxy.rule = ({ path }) => (path.startsWith("/log/tile/entries") ? made(503) : null)
    assert.equal(await codeOf(() => live(client)), "UNAVAILABLE")
  })
})

suite("export", { concurrency: 2 }, () => {
  const offline = async (folder: string, t: TestContext): Promise<AuditReport> =>
    await audit({ source: { kind: "folder", path: folder }, trust: world.trust, state: tempFolder(t) })

  test("it is the log, file for file, and audits clean without the registry", async (t) => {
    const client = await newClient(t, histories)
    client.show(older)
    const folder = join(tempFolder(t), "log")
    const exported = await exportLog(folder, client.options)
    assert.deepEqual([exported.size, exported.entries], [4, 4])
    assert.deepEqual(
      tree(folder).filter((name) => !name.endsWith("/")),
      ["checkpoint", "tile/0/000.p/4", "tile/entries/000.p/4"],
    )
    for (const path of ["checkpoint", "tile/0/000.p/4", "tile/entries/000.p/4"]) {
      const served = Buffer.from(await (await fetch(`${older.url}/log/${path}`)).arrayBuffer())
      assert.deepEqual(readFileSync(join(folder, path)), served)
    }
    const report = await offline(folder, t)
    assert.deepEqual([report.findings, report.size], [[], 4])
  })
  test("again: nothing new; later: it grows; in between: it goes on where it stopped", async (t) => {
    const client = await newClient(t, histories)
    const folder = join(tempFolder(t), "log")
    client.show(older)
    await exportLog(folder, client.options)
    assert.deepEqual((await exportLog(folder, client.options)).files, 0)
    client.show(main)
    const grown = await exportLog(folder, client.options)
    assert.ok(grown.size >= 7 && grown.entries === grown.size - 4)
    assert.equal(auditExit(await offline(folder, t)), 0)
    rmSync(join(folder, "checkpoint"))
    rmSync(join(folder, `tile/0/000.p/${grown.size}`))
    const resumed = await exportLog(folder, client.options)
    assert.deepEqual([resumed.files, resumed.size], [1, grown.size])
    assert.equal(auditExit(await offline(folder, t)), 0)
  })
  test("any web server can serve it: audited over HTTP without a registry", async (t) => {
    const client = await newClient(t, histories)
    client.show(older)
    const folder = join(tempFolder(t), "mirror", "log")
    await exportLog(folder, client.options)
    const url = await serveFolder(t, join(folder, ".."))
    const source = { kind: "static", url: `${url}/log` } as const
    const report = await audit({ source, trust: world.trust, state: tempFolder(t) })
    assert.deepEqual([report.findings, report.size, report.live], [[], 4, null])
    rmSync(join(folder, "tile/0/000.p/4"))
    const damaged = await audit({ source, trust: world.trust, state: tempFolder(t) })
    assert.deepEqual(
      damaged.findings.map(({ path }) => path),
      ["tile/0/000.p/4"],
    )
  })
  test("stopped at any file, it goes on; no file is ever half there", async (t) => {
    const client = await newClient(t, histories)
    const folder = join(tempFolder(t), "log")
    for (let count = 1; count < 8; count++) {
      const stop = new AbortController()
      let asked = 0
      client.proxy.rule = ({ path }) => {
        if (path.startsWith("/log/") && ++asked === count) stop.abort(new DOMException("stop", "AbortError"))
        return null
      }
      await exportLog(folder, { ...client.options, signal: stop.signal }).catch(() => undefined)
      const left = existsSync(folder) ? tree(folder).filter((name) => name.endsWith(".tmp")) : []
      assert.deepEqual(left, [])
    }
    client.proxy.rule = () => null
    await exportLog(folder, client.options)
    assert.equal(auditExit(await offline(folder, t)), 0)
  })
  test("payloads that entries only name are in it", async (t) => {
    const client = await newClient(t, histories)
    const files = Object.fromEntries(Array.from({ length: 80 }, (_, at) => [`part-${at}.bin`, Buffer.from(String(at))]))
    const source = join(tempFolder(t), "source")
    mkdirSync(source)
    const shop = { ...histories, peer: main, source, options: { ...client.options, registry: main.url } }
    const { manifest } = await publishFiles(shop, files, { version: "9.0.0", model: "acme/large" })
    const folder = join(tempFolder(t), "log")
    await exportLog(folder, client.options)
    assert.deepEqual(readdirSync(join(folder, "payload/sha256")), [manifest.digest])
    assert.equal(auditExit(await offline(folder, t)), 0)
    const path = join(folder, "payload/sha256", manifest.digest)
    writeFileSync(path, flipByte(readFileSync(path)))
    assert.deepEqual(
      (await offline(folder, t)).findings.map(({ check, index }) => [check, index]),
      [["payload", manifest.index]],
    )
    rmSync(path)
    assert.deepEqual(
      (await offline(folder, t)).findings.map(({ check, index }) => [check, index]),
      [["payload", manifest.index]],
    )
  })
  const lies: readonly (readonly [string, string, Rule])[] = [
    [
      "a changed bundle",
      "LOG_INVALID",
      ({ path, answer }) => (path.startsWith("/log/tile/entries") ? made(200, flipByte(answer.body)) : null),
    ],
    ["a bundle of nothing", "LOG_INVALID", ({ path }) => (path.startsWith("/log/tile/entries") ? made(200, "") : null)],
    ["no bundle", "NOT_FOUND", ({ path }) => (path.startsWith("/log/tile/entries") ? made(404) : null)],
    [
      "a checkpoint that nobody signed",
      "LOG_INVALID",
      ({ path, answer }) => (path === "/log/checkpoint" ? made(200, flipByte(answer.body, 30)) : null),
    ],
    [
      "an endless bundle",
      "TOO_LARGE",
      ({ path, answer }) => (path.startsWith("/log/tile/entries") ? { ...answer, then: "flood" } : null),
    ],
  ]
  for (const [why, code, rule] of lies) {
    test(`refused: ${why}; nothing of it is written`, async (t) => {
      const client = await newClient(t, histories)
      client.proxy.rule = rule
      const folder = join(tempFolder(t), "log")
      assert.equal(await codeOf(() => exportLog(folder, client.options)), code)
      assert.deepEqual(existsSync(folder) ? tree(folder) : [], [])
    })
  }
  test("refused: a folder with another history, with a changed file, with somebody's file in the way", async (t) => {
    const client = await newClient(t, histories)
    const folder = join(tempFolder(t), "log")
    client.show(fork)
    await exportLog(folder, client.options)
    const mine = await newClient(t, histories)
    assert.equal(await codeOf(() => exportLog(folder, mine.options)), "LOG_INVALID")
    const changed = join(tempFolder(t), "log")
    cpSync(folder, changed, { recursive: true })
    writeFileSync(join(changed, "tile/entries/000.p/7"), "x")
    assert.equal(await codeOf(() => exportLog(changed, client.options)), "CONFLICT")
    writeFileSync(join(folder, "checkpoint"), "mine")
    assert.equal(await codeOf(() => exportLog(folder, client.options)), "CONFLICT")
    assert.equal(readFileSync(join(folder, "checkpoint"), "utf8"), "mine")
  })
  test("refused: the export has more than the log shows now: ROLLBACK", async (t) => {
    const client = await newClient(t, histories)
    const folder = join(tempFolder(t), "log")
    await exportLog(folder, client.options)
    const fresh = await newClient(t, histories)
    fresh.show(older)
    assert.equal(await codeOf(() => exportLog(folder, fresh.options)), "ROLLBACK")
  })
})

/** What any static web server does. */
async function serveFolder(t: TestContext, root: string): Promise<string> {
  const server = createServer((request, response) => {
    const path = join(root, request.url ?? "")
    if (!existsSync(path) || !statSync(path).isFile()) response.writeHead(404).end()
    else response.end(readFileSync(path))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
