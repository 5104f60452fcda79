/** A trust root that asks for a witness: what a client believes with it, without it, and how old it may be. */
import assert from "node:assert/strict"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import {
  audit,
  auditExit,
  exportLog,
  fetchModel,
  logHead,
  modelHistory,
  publishModel,
  receiptBytes,
  verifyReceipt,
} from "@weighlock/client"
import {
  formatBundle,
  formatEnvelope,
  makeFirstTrustRoot,
  openTrustChain,
  parseBundle,
  signEnvelope,
  trustRootPayloadType,
} from "@weighlock/manifest"
import { formatPrivateKey, generateEd25519, signerFor } from "@weighlock/manifest/node"
import { addLog, type RunningWitness, startWitness } from "@weighlock/registry"
import { formatNote, formatProof, formatVkey, parseNote, parseProof } from "@weighlock/tlog"
import { origin, startPeer, type World } from "../registry/support.ts"
import { made, type Rule, startHostile } from "../support/hostile.ts"
import { model, reference, signFolder, smallFiles, tree, writeFiles } from "../support/published.ts"
import { codeOf, tempFolder } from "../support/temp.ts"

interface Watched extends World {
  readonly trustRoot: Uint8Array
  witness: RunningWitness
  /** Starts the witness again, where it was. */
  restart(): Promise<void>
}

async function makeWatched(t: TestContext): Promise<Watched> {
  const folder = tempFolder(t)
  const [logKey, signer] = [generateEd25519(), signerFor(generateEd25519())]
  const vkey = formatVkey(`${origin}/log`, signerFor(logKey).publicKey.bytes)
  const data = join(folder, "witness")
  const run = async (port = 0): Promise<RunningWitness> => {
    const witness = await startWitness({ data, name: "w.example", port, logLevel: "silent" })
    await addLog({ data, vkey })
    return witness
  }
  const witness = await run()
  const policy = `witness w ${witness.vkey} ${witness.url}\nquorum w\n`
  const expires = new Date(Date.now() + 86_400_000)
  const payload = makeFirstTrustRoot({ registry: origin, key: signer.publicKey, label: "alice", vkey, expires, policy })
  const trustRoot = formatEnvelope(await signEnvelope({ payloadType: trustRootPayloadType, payload }, [signer]))
  const trust = join(folder, "trust.json")
  writeFileSync(trust, trustRoot)
  writeFileSync(join(folder, "log-key.pem"), formatPrivateKey(logKey, null), { mode: 0o600 })
  const world: Watched = {
    folder,
    trust,
    trustRoot,
    signer,
    witness,
    restart: async () => void (world.witness = await run(Number(new URL(witness.url).port))),
  }
  t.after(() => world.witness.close())
  return world
}

/** The note with the log's own signature alone. */
function bare(note: string): string {
  const { text, signatures } = parseNote(note)
  return formatNote({ text, signatures: signatures.filter(({ name }) => name === `${origin}/log`) })
}

test("with its witness, without it, and with answers that leave it out", { timeout: 300_000 }, async (t) => {
  const world = await makeWatched(t)
  const peer = await startPeer(t, { witness: { mode: "require" } }, world)
  const proxy = await startHostile(t, peer.url)
  const source = tempFolder(t)
  writeFiles(source, smallFiles())
  const mine = (): { registry: string; trust: string; cache: string; state: string } => {
    const folder = tempFolder(t)
    return { registry: proxy.url, trust: world.trust, cache: join(folder, "cache"), state: join(folder, "state") }
  }
  const options = mine()
  const envelope = await signFolder(source, [world.signer])

  await t.test("publish waits for it, and the receipt says so", async () => {
    const published = await publishModel(source, envelope, options)
    assert.ok(published.created && published.manifest.freshness !== null)
    const receipt = parseBundle(receiptBytes(published))
    const trustChain = openTrustChain([world.trustRoot], { by: "file" })
    const request = {
      reference: { model, selector: { by: "version", version: "1.0.0" } } as const,
      bundle: receipt,
      trustChain,
    }
    const offline = await verifyReceipt({ ...request, state: options.state, maxStaleness: 60, now: new Date() })
    assert.equal(offline.manifest.index, 2)
    const later = new Date(Date.now() + 3_600_000)
    assert.equal(
      await codeOf(() => verifyReceipt({ ...request, state: options.state, maxStaleness: 60, now: later })),
      "STALE",
    )
  })
  await t.test("load, head and history are fresh", async () => {
    const fresh = { ...mine(), maxStaleness: 60 }
    assert.notEqual((await fetchModel(reference, fresh)).manifest.freshness, null)
    const head = await logHead(fresh)
    assert.ok(head.quorum && head.cosignatures.length === 1 && head.freshness !== null)
    assert.equal((await modelHistory(model, fresh)).entries.length, 1)
    assert.equal(
      auditExit(
        await audit({
          source: { kind: "registry", url: proxy.url },
          trust: world.trust,
          state: fresh.state,
          maxStaleness: 60,
        }),
      ),
      0,
    )
  })
  await t.test("without the registry: the kept view is as old as its witnesses say", async (inner) => {
    const own = mine()
    const asked = await fetchModel(reference, own)
    const gone = { ...own, registry: "http://127.0.0.1:1", offline: true }
    const { view } = await fetchModel(reference, { ...gone, maxStaleness: 60 })
    assert.deepEqual([view.from, view.clock, view.asOf], ["kept", "witnesses", asked.manifest.freshness])
    inner.mock.timers.enable({ apis: ["Date"], now: Date.now() + 3_600_000 })
    assert.equal(await codeOf(() => fetchModel(reference, { ...gone, maxStaleness: 60 })), "STALE")
    assert.equal(await codeOf(() => fetchModel(reference, { ...gone, maxStaleness: 7200 })), "none")
  })
  await t.test("a cosignature that is left out: NOT_YET_WITNESSED, and nothing is kept of it", async () => {
    const strip: Rule = ({ path, answer }) => {
      const text = answer.body.toString()
      if (path === "/log/checkpoint") return made(200, bare(text))
      if (path.includes("/history")) {
        const page = JSON.parse(text) as { checkpoint: string }
        return made(200, { ...page, checkpoint: bare(page.checkpoint) })
      }
      if (!/\/versions\/|\/manifests\//.test(path)) return null
      const bundle = parseBundle(answer.body)
      const proof = parseProof(bundle.proof ?? "")
      return made(
        200,
        Buffer.from(formatBundle({ ...bundle, proof: formatProof({ ...proof, checkpoint: bare(proof.checkpoint) }) })),
      )
    }
    proxy.rule = strip
    const stripped = mine()
    assert.equal(await codeOf(() => fetchModel(reference, stripped)), "NOT_YET_WITNESSED")
    assert.equal(await codeOf(() => modelHistory(model, stripped)), "NOT_YET_WITNESSED")
    assert.equal(await codeOf(() => exportLog(join(stripped.state, "export"), stripped)), "NOT_YET_WITNESSED")
    const head = await logHead(stripped)
    assert.deepEqual([head.quorum, head.freshness, head.cosignatures], [false, null, []])
    assert.deepEqual(
      existsSync(stripped.state) ? tree(stripped.state).filter((name) => name.endsWith(".checkpoint")) : [],
      [],
    )
    const report = await audit({
      source: { kind: "registry", url: proxy.url },
      trust: world.trust,
      state: stripped.state,
      live: false,
    })
    assert.deepEqual(
      report.findings.map(({ check, code }) => [check, code]),
      [["quorum", "NOT_YET_WITNESSED"]],
    )
    proxy.rule = () => null
  })
  await t.test("a cosignature that is not its witness's: LOG_INVALID", async () => {
    proxy.rule = ({ path, answer }) => {
      if (path !== "/log/checkpoint") return null
      const { text, signatures } = parseNote(answer.body.toString())
      const changed = signatures.map((one) =>
        one.name === "w.example"
          ? { ...one, bytes: Uint8Array.from(one.bytes, (byte, at) => (at === 20 ? byte ^ 1 : byte)) }
          : one,
      )
      return made(200, formatNote({ text, signatures: changed }))
    }
    assert.equal(await codeOf(() => logHead(mine())), "LOG_INVALID")
    proxy.rule = () => null
  })
  await t.test(
    "while the witness is away: publish is logged and NOT_YET_WITNESSED, what was there goes stale",
    async () => {
      await world.witness.close()
      writeFiles(source, { "model.json": Buffer.from("newer") })
      const next = await signFolder(source, [world.signer], { version: "1.1.0" })
      const started = performance.now()
      assert.equal(await codeOf(() => publishModel(source, next, options)), "NOT_YET_WITNESSED")
      const took = performance.now() - started
      assert.ok(took > 8000, `${took} ms`)
      assert.equal(await codeOf(() => fetchModel(`${model}@1.1.0`, options)), "NOT_YET_WITNESSED")
      assert.equal(await codeOf(() => fetchModel(reference, { ...options, maxStaleness: 2 })), "STALE")
      assert.equal(await codeOf(() => fetchModel(reference, options)), "none")
      await world.restart()
      let created: boolean | null = null
      for (let tries = 0; tries < 5 && created === null; tries++)
        created = await publishModel(source, next, options).then(
          (published) => published.created,
          () => null,
        )
      assert.equal(created, false)
      assert.equal((await fetchModel(`${model}@1.1.0`, { ...mine(), maxStaleness: 900 })).manifest.version, "1.1.0")
      await sleep(0)
    },
  )
})
