/** A registry that shows different histories of its log to one client: refused, written down, and never forgotten. */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { after, suite, test, type TestContext } from "node:test"
import { clientErrorCodes, fetchModel, logEntry, logHead, modelHistory, receiptBytes } from "@weighlock/client"
import { formatBundle, manifestErrorCodes, openTrustChain, parseBundle } from "@weighlock/manifest"
import {
  decodeBase64,
  formatEntryBundle,
  openCheckpoint,
  parseEntryBundle,
  parseProof,
  verifyConsistency,
} from "@weighlock/tlog"
import { makeHistories, newClient, type Client, versions } from "../support/forked.ts"
import { made } from "../support/hostile.ts"
import { model, tree } from "../support/published.ts"
import { codeOf } from "../support/temp.ts"
import { makeWorld, startPeer } from "../registry/support.ts"
import { sample } from "../support/thorough.ts"

const histories = await makeHistories({ after } as unknown as TestContext)
const { main, older, fork, forkReceipt, world } = histories
const log = openTrustChain([readFileSync(world.trust)], { by: "file" }).current.log
const first = `${model}@1.0.0`
const newest = `${model}@1.0.4`

const seenFiles = ({ options }: Client): string[] =>
  (existsSync(options.state) ? tree(options.state) : []).filter(
    (name) => name.endsWith(".checkpoint") && !name.includes("evidence"),
  )
const sizes = (client: Client): number[] =>
  seenFiles(client).map((name) => Number.parseInt(name.split("/").at(-1) ?? ""))

interface Evidence {
  readonly seen: string
  readonly shown: string
  readonly proof: { readonly size: number; readonly root: string; readonly consistency: readonly string[] } | null
  readonly readme: string
}

function evidenceOf({ options }: Client): Evidence[] {
  const [pin = ""] = readdirSync(join(options.state, "seen"))
  const all = join(options.state, "seen", pin, "evidence")
  return readdirSync(all).map((name) => {
    const read = (file: string): string => readFileSync(join(all, name, file), "utf8")
    const files = readdirSync(join(all, name))
    return {
      seen: read("seen.checkpoint"),
      shown: read("shown.checkpoint"),
      proof: files.includes("proof.json") ? (JSON.parse(read("proof.json")) as Evidence["proof"]) : null,
      readme: read("README.txt"),
    }
  })
}

const bytes = (text: string): Uint8Array => decodeBase64(text) ?? new Uint8Array(0)

suite("what was seen is kept", { concurrency: 4 }, () => {
  test("after the first contact there is the signed checkpoint; it moves with the log, one file at a time", async (t) => {
    const client = await newClient(t, histories)
    client.show(older)
    await fetchModel(first, client.options)
    assert.deepEqual(sizes(client), [4])
    client.show(main)
    await fetchModel(newest, client.options)
    assert.deepEqual(sizes(client), [7])
    const [name = ""] = seenFiles(client)
    assert.equal(openCheckpoint(readFileSync(join(client.options.state, name), "utf8"), log).size, 7)
  })
  test("a bundle that is older than what was seen, and consistent with it, is fine", async (t) => {
    const client = await newClient(t, histories)
    const old = await fetch(`${older.url}/api/v1/models/${model}/versions/1.0.0`).then((answer) => answer.arrayBuffer())
    await fetchModel(newest, client.options)
    client.proxy.rule = ({ path }) => (path.endsWith("/versions/1.0.0") ? made(200, Buffer.from(old)) : null)
    const { manifest } = await fetchModel(first, client.options)
    assert.equal(manifest.checkpoint.size, 4)
    assert.deepEqual(sizes(client), [7])
  })
  test("head, entry and history keep it too", async (t) => {
    for (const look of [
      logHead,
      (options: Client["options"]) => logEntry(2, options),
      (options: Client["options"]) => modelHistory(model, options),
    ]) {
      const client = await newClient(t, histories)
      await look(client.options)
      assert.deepEqual(sizes(client), [7])
    }
  })
  test("nothing is kept of what did not verify", async (t) => {
    const client = await newClient(t, histories)
    client.proxy.rule = ({ path, answer }) => {
      if (!path.endsWith("/versions/1.0.0")) return null
      const bundle = parseBundle(answer.body)
      const signatures = bundle.envelope.signatures.map((one) => ({ ...one, sig: new Uint8Array(64) }))
      return made(200, Buffer.from(formatBundle({ ...bundle, envelope: { ...bundle.envelope, signatures } })))
    }
    assert.equal(await codeOf(() => fetchModel(first, client.options)), "SIGNATURE_INVALID")
    assert.deepEqual(sizes(client), [])
  })
})

suite("histories that contradict each other", { concurrency: 4 }, () => {
  test("a fork of the same size: LOG_INVALID, nothing loaded, and two notes that prove it to anyone", async (t) => {
    const client = await newClient(t, histories)
    await fetchModel(newest, client.options)
    client.show(fork)
    const asked = client.proxy.seen.length
    assert.equal(await codeOf(() => fetchModel(newest, client.options)), "LOG_INVALID")
    assert.equal(
      client.proxy.seen.slice(asked).some(({ isBlob }) => isBlob),
      false,
    )
    const [{ seen, shown, readme }, ...more] = evidenceOf(client) as [Evidence, ...Evidence[]]
    const [a, b] = [openCheckpoint(seen, log), openCheckpoint(shown, log)]
    assert.deepEqual([a.size, b.size, more.length], [7, 7, 0])
    assert.notDeepEqual(a.root, b.root)
    assert.ok(log.vkeys.every((vkey) => readme.includes(vkey)))
  })
  test("the same fork again gives the same evidence, not more of it", async (t) => {
    const client = await newClient(t, histories)
    await fetchModel(newest, client.options)
    client.show(fork)
    for (let i = 0; i < 3; i++) assert.equal(await codeOf(() => fetchModel(newest, client.options)), "LOG_INVALID")
    assert.equal(evidenceOf(client).length, 1)
    client.show(main)
    assert.equal((await fetchModel(newest, client.options)).manifest.version, "1.0.4")
  })
  test("a fork that went on: the evidence has a proof, and an outsider needs nothing else", async (t) => {
    const client = await newClient(t, histories)
    const receipt = Buffer.from(receiptBytes(forkReceipt))
    client.show(fork)
    client.proxy.rule = ({ path }) => (path.endsWith("/versions/1.0.2") ? made(200, receipt) : null)
    await fetchModel(`${model}@1.0.2`, client.options)
    assert.deepEqual(sizes(client), [5])
    client.show(main)
    assert.equal(await codeOf(() => fetchModel(newest, client.options)), "LOG_INVALID")
    const [{ seen, shown, proof }] = evidenceOf(client) as [Evidence]
    const [before, now] = [openCheckpoint(seen, log), openCheckpoint(shown, log)]
    assert.deepEqual([before.size, now.size, proof?.size], [5, 7, 5])
    const root = bytes(proof?.root ?? "")
    assert.notDeepEqual(root, before.root)
    verifyConsistency({ from: { size: 5, root }, to: now, proof: proof?.consistency.map(bytes) ?? [] })
  })
  test("the newest state is smaller than what was seen: ROLLBACK, with both notes", async (t) => {
    for (const look of [logHead, (options: Client["options"]) => logEntry(2, options)]) {
      const client = await newClient(t, histories)
      await fetchModel(newest, client.options)
      client.show(older)
      assert.equal(await codeOf(() => look(client.options)), "ROLLBACK")
      const [{ seen, shown }] = evidenceOf(client) as [Evidence]
      assert.deepEqual([openCheckpoint(seen, log).size, openCheckpoint(shown, log).size], [7, 4])
      assert.deepEqual(sizes(client), [7])
    }
  })
  test("a restored backup, asked for a version: the log can't connect it with what was seen: ROLLBACK", async (t) => {
    const client = await newClient(t, histories)
    await fetchModel(newest, client.options)
    client.show(older)
    assert.equal(await codeOf(() => fetchModel(first, client.options)), "ROLLBACK")
    assert.equal(await codeOf(() => modelHistory(model, client.options)), "ROLLBACK")
  })
  test("head and bundles of two histories: whichever comes second is refused", async (t) => {
    const client = await newClient(t, histories)
    await logHead(client.options)
    client.show(fork)
    assert.equal(await codeOf(() => logHead(client.options)), "LOG_INVALID")
    assert.equal(await codeOf(() => modelHistory(model, client.options)), "LOG_INVALID")
    assert.equal(await codeOf(() => logEntry(3, client.options)), "LOG_INVALID")
  })
  test("another log altogether, under another trust root: LOG_INVALID", async (t) => {
    const stranger = await startPeer(t, {}, await makeWorld(t))
    const client = await newClient(t, histories)
    client.proxy.rule = () => null
    client.show(stranger)
    assert.equal(await codeOf(() => logHead(client.options)), "LOG_INVALID")
  })
})

suite("first contact", { concurrency: 4 }, () => {
  const isGenesis = (path: string): boolean => path.startsWith("/api/v1/log/proof/0")
  test("a genesis of another trust root is refused, whoever signed the checkpoint", async (t) => {
    const stranger = await startPeer(t, {}, await makeWorld(t))
    const foreign = (await fetch(`${stranger.url}/api/v1/log/proof/0?size=2`).then((answer) => answer.json())) as {
      entry: string
    }
    const client = await newClient(t, histories)
    client.proxy.rule = ({ path, answer }) => {
      if (path.startsWith("/log/tile/entries"))
        return made(
          200,
          Buffer.from(
            formatEntryBundle([Buffer.from(foreign.entry, "base64"), ...parseEntryBundle(answer.body, 7).slice(1)]),
          ),
        )
      if (!isGenesis(path)) return null
      return made(200, { ...(JSON.parse(answer.body.toString()) as object), entry: foreign.entry })
    }
    assert.equal(await codeOf(() => fetchModel(first, client.options)), "LOG_INVALID")
    assert.deepEqual(sizes(client), [])
  })
  const lies: readonly (readonly [string, (answer: Record<string, unknown>) => unknown])[] = [
    ["another entry in its place", (answer) => ({ ...answer, entry: "e30=" })],
    ["no hashes", (answer) => ({ ...answer, hashes: [] })],
    [
      "65 hashes",
      (answer) => ({ ...answer, hashes: Array.from({ length: 65 }, () => Buffer.alloc(32).toString("base64")) }),
    ],
    ["a hash of 31 bytes", (answer) => ({ ...answer, hashes: [Buffer.alloc(31).toString("base64")] })],
    ["hashes that are numbers", (answer) => ({ ...answer, hashes: [1] })],
    ["another size", (answer) => ({ ...answer, size: 3 })],
    ["another index", (answer) => ({ ...answer, index: 1 })],
    ["a list", () => []],
    ["null", () => null],
  ]
  for (const [why, change] of sample(lies, 2)) {
    test(`a helper route that answers ${why} is not the last word: the tiles are`, async (t) => {
      const client = await newClient(t, histories)
      const lie = ({ answer }: { answer: { body: Buffer } }): ReturnType<typeof made> =>
        made(200, JSON.stringify(change(JSON.parse(answer.body.toString()) as Record<string, unknown>)))
      client.proxy.rule = (exchange) =>
        isGenesis(exchange.path) ? lie(exchange) : exchange.path.startsWith("/log/tile") ? made(404) : null
      assert.equal(await codeOf(() => fetchModel(first, client.options)), "LOG_INVALID")
      assert.deepEqual(sizes(client), [])
      client.proxy.rule = (exchange) => (isGenesis(exchange.path) ? lie(exchange) : null)
      assert.equal((await fetchModel(first, client.options)).manifest.version, "1.0.0")
      assert.deepEqual(sizes(client), [7])
    })
  }
})

suite("proofs of growth", { concurrency: 4 }, () => {
  const isGrowth = (path: string): boolean => path.startsWith("/api/v1/log/consistency")
  const answers: readonly (readonly [string, () => ReturnType<typeof made>])[] = [
    ["404", () => made(404, { code: "NOT_FOUND" })],
    ["nonsense", () => made(200, "<html>")],
    ["no hashes", () => made(200, { from: 4, to: 7, hashes: [] })],
    ["wrong hashes", () => made(200, { from: 4, to: 7, hashes: [Buffer.alloc(32).toString("base64")] })],
  ]
  for (const [why, answer] of answers) {
    test(`a helper route that answers ${why} is not the last word: the tiles are`, async (t) => {
      const client = await newClient(t, histories)
      client.show(older)
      await fetchModel(first, client.options)
      client.show(main)
      client.proxy.rule = ({ path }) => (isGrowth(path) ? answer() : null)
      assert.equal((await fetchModel(newest, client.options)).manifest.version, "1.0.4")
      assert.deepEqual(sizes(client), [7])
    })
    test(`a helper route that answers ${why}, and tiles that are gone: LOG_INVALID`, async (t) => {
      const client = await newClient(t, histories)
      client.show(older)
      await fetchModel(first, client.options)
      client.show(main)
      client.proxy.rule = ({ path }) => (isGrowth(path) ? answer() : path.startsWith("/log/tile") ? made(404) : null)
      assert.equal(await codeOf(() => fetchModel(newest, client.options)), "LOG_INVALID")
      assert.deepEqual(sizes(client), [4])
      assert.match(evidenceOf(client)[0]?.readme ?? "", /does not show/)
    })
  }
  test("503 is no verdict: UNAVAILABLE, and no evidence", async (t) => {
    const client = await newClient(t, histories)
    client.show(older)
    await fetchModel(first, client.options)
    client.show(main)
    client.proxy.rule = ({ path }) => (isGrowth(path) ? made(503) : null)
    assert.equal(await codeOf(() => fetchModel(newest, client.options)), "UNAVAILABLE")
    assert.deepEqual(
      tree(client.options.state).filter((name) => name.includes("evidence")),
      [],
    )
  })
})

suite("witnesses and freshness", () => {
  test("a demand for freshness where no witness promises any: STALE", async (t) => {
    const client = await newClient(t, histories)
    assert.equal(await codeOf(() => fetchModel(first, { ...client.options, maxStaleness: 3600 })), "STALE")
    assert.equal(await codeOf(() => logHead({ ...client.options, maxStaleness: 3600 })), "STALE")
    for (const bad of [Number.NaN, -1, Number.POSITIVE_INFINITY])
      assert.equal(await codeOf(() => fetchModel(first, { ...client.options, maxStaleness: bad })), "USAGE")
    assert.deepEqual(sizes(client), [])
  })
})

test("history: every version in order, who signed it and when; a gap, a stranger's entry and a swap are refused", async (t) => {
  const client = await newClient(t, histories)
  const { entries, checkpoint } = await modelHistory(model, client.options)
  assert.deepEqual(
    entries.map(({ subject }) => subject),
    versions,
  )
  assert.deepEqual([entries[0]?.index, entries.at(-1)?.index, checkpoint.size], [2, 6, 7])
  assert.ok(entries.every(({ signers }) => signers[0] === world.signer.publicKey.keyid))
  type Page = { entries: unknown[]; next?: unknown; model: string }
  const lies: readonly (readonly [string, (page: Page) => unknown])[] = [
    ["LOG_INVALID", (page) => ({ ...page, entries: page.entries.slice(1) })],
    ["LOG_INVALID", (page) => ({ ...page, entries: page.entries.filter((_, at) => at !== 2) })],
    ["LOG_INVALID", (page) => ({ ...page, entries: page.entries.toReversed() })],
    ["LOG_INVALID", (page) => ({ ...page, entries: [...page.entries, page.entries[0]] })],
    ["PROTOCOL", (page) => ({ ...page, next: 0 })],
    ["PROTOCOL", (page) => ({ ...page, model: "acme/other" })],
  ]
  for (const [code, change] of lies) {
    client.proxy.rule = ({ path, answer }) =>
      path.includes("/history") ? made(200, JSON.stringify(change(JSON.parse(answer.body.toString()) as Page))) : null
    assert.equal(await codeOf(() => modelHistory(model, client.options)), code)
  }
  client.proxy.rule = () => null
  assert.equal(await codeOf(() => modelHistory("acme/nothing", client.options)), "NOT_FOUND")
})

test("entry: the leaf, and a proof that stands alone", async (t) => {
  const client = await newClient(t, histories)
  const { leaf, proof, head, hash } = await logEntry(3, client.options)
  assert.deepEqual([leaf.op, leaf.subject, head.checkpoint.size, hash.length], ["publish", "1.0.1", 7, 32])
  assert.equal(parseProof(proof).index, 3)
  assert.equal(openCheckpoint(parseProof(proof).checkpoint, log).size, 7)
  assert.equal(await codeOf(() => logEntry(7, client.options)), "NOT_FOUND")
  for (const bad of [-1, 0.5, Number.NaN, 2 ** 53])
    assert.equal(await codeOf(() => logEntry(bad, client.options)), "USAGE")
  client.proxy.rule = ({ path, answer }) =>
    path.startsWith("/api/v1/log/proof/3")
      ? made(200, { ...(JSON.parse(answer.body.toString()) as object), entry: "e30=" })
      : null
  assert.equal(await codeOf(() => logEntry(3, client.options)), "LOG_INVALID")
})

suite("answers with one changed byte: a code of ours, or the same result", { concurrency: 2 }, () => {
  const codes = new Set<string>([...clientErrorCodes, ...manifestErrorCodes])
  const looks: readonly (readonly [string, RegExp, (options: Client["options"]) => Promise<unknown>])[] = [
    ["load", /\/versions\/|\/log\/proof|\/log\/tile/, (options) => fetchModel(first, options)],
    ["head", /\/log\//, (options) => logHead(options)],
    ["entry", /\/log\//, (options) => logEntry(3, options)],
    ["history", /\/history|\/log\//, (options) => modelHistory(model, options)],
  ]
  for (const [name, where, look] of looks) {
    test(name, async (t) => {
      const client = await newClient(t, histories)
      for (let round = 0; round < 40; round++) {
        client.proxy.rule = ({ path, answer, isBlob }) => {
          if (isBlob || !where.test(path)) return null
          const at = (round * 7919 + path.length * 31) % answer.body.length
          const body = Buffer.from(answer.body)
          body[at] = round % 3 === 0 ? 0x22 : (body[at] ?? 0) ^ (1 << (round % 8))
          return { ...answer, body }
        }
        const code = await codeOf(() => look({ ...client.options, state: join(client.options.state, String(round)) }))
        assert.ok(code === "none" || codes.has(code), `round ${round}: ${code}`)
      }
    })
  }
})
