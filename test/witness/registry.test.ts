/** A registry whose trust root asks for two witnesses, with real ones: what readers are shown, and when one is away. */
import assert from "node:assert/strict"
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import {
  formatEnvelope,
  makeFirstTrustRoot,
  parseBundle,
  signEnvelope,
  trustRootPayloadType,
} from "@weighlock/manifest"
import { formatPrivateKey, generateEd25519, signerFor } from "@weighlock/manifest/node"
import { addLog, type RegistryError, type RunningWitness, startWitness } from "@weighlock/registry"
import { formatVkey, openWitnessed, parseProof, parseWitnessPolicy, type WitnessedCheckpoint } from "@weighlock/tlog"
import { origin, type Peer, random, signed, startPeer, type World } from "../registry/support.ts"
import { GrownLog } from "./grown-log.ts"

interface Watched extends World {
  readonly witnesses: RunningWitness[]
  /** Starts it again, where it was. */
  restart(at: number): Promise<void>
  open(note: string): WitnessedCheckpoint
}

async function makeWatched(t: TestContext): Promise<Watched> {
  const folder = await mkdtemp(join(tmpdir(), "weighlock-watched-"))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }))
  const [logKey, publisher] = [generateEd25519(), generateEd25519()]
  const log = `${origin}/log`
  const vkey = formatVkey(log, signerFor(logKey).publicKey.bytes)
  const witnesses: RunningWitness[] = []
  const run = async (at: number, port = 0): Promise<RunningWitness> => {
    const data = join(folder, `w${at}`)
    witnesses[at] = await startWitness({ data, name: `w${at}.example`, port, logLevel: "silent" })
    await addLog({ data, vkey })
    return witnesses[at]
  }
  for (const at of [0, 1]) await run(at)
  t.after(async () => void (await Promise.all(witnesses.map((witness) => witness.close()))))
  const lines = witnesses.map((witness, at) => `witness w${at} ${witness.vkey} ${witness.url}\n`)
  const policy = `${lines.join("")}group both all w0 w1\nquorum both\n`
  const signer = signerFor(publisher)
  const expires = new Date(Date.now() + 86_400_000)
  const draft = { registry: origin, key: signer.publicKey, label: "alice", vkey, expires, policy }
  const root = await signEnvelope({ payloadType: trustRootPayloadType, payload: makeFirstTrustRoot(draft) }, [signer])
  const trust = join(folder, "trust.json")
  await writeFile(trust, formatEnvelope(root))
  await writeFile(join(folder, "log-key.pem"), formatPrivateKey(logKey, null), { mode: 0o600 })
  return {
    folder,
    trust,
    signer,
    witnesses,
    restart: async (at) => void (await run(at, Number(new URL(witnesses[at]?.url ?? "").port))),
    open: (note) => openWitnessed(note, { origin: log, vkeys: [vkey], policy: parseWitnessPolicy(policy) }),
  }
}

async function checkpointOf(peer: Peer): Promise<string> {
  return (await peer.call("GET", "/log/checkpoint")).bytes.toString()
}

async function until(done: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + 150_000; !(await done());) {
    if (performance.now() > end) assert.fail(`in vain: ${what}`)
    await sleep(50)
  }
}

test("require: readers see what both witnesses signed, while one is away too, and after a restart", async (t) => {
  const world = await makeWatched(t)
  const config = { witness: { mode: "require" as const } }
  const peer = await startPeer(t, config, world)
  const shows = async (from: Peer, size: number): Promise<boolean> => {
    const { checkpoint, quorum } = world.open(await checkpointOf(from))
    return quorum && checkpoint.size === size
  }
  await until(() => shows(peer, 2), "a witnessed beginning")

  const bytes = random(10)
  await peer.upload(bytes)
  assert.equal((await peer.publish(await signed(world, [bytes], { version: "1.0.0" }))).status, 201)
  const proven = async (): Promise<boolean> => {
    const reply = await peer.call("GET", "/api/v1/models/acme/mnist/versions/1.0.0")
    const { index, checkpoint } = parseProof(parseBundle(reply.bytes).proof ?? "")
    const opened = world.open(checkpoint)
    assert.ok(index < opened.checkpoint.size)
    return opened.quorum && (opened.freshness ?? 0) > 0
  }
  await until(proven, "a bundle with a quorum")
  await until(() => shows(peer, 3), "the published checkpoint with a quorum")

  await world.witnesses[1]?.close()
  assert.equal((await peer.publish(await signed(world, [bytes], { version: "1.1.0" }))).status, 201)
  await sleep(1500)
  assert.ok(await shows(peer, 3), "one witness is no quorum: nothing newer is shown")
  const late = await peer.call("GET", "/api/v1/models/acme/mnist/versions/1.1.0")
  assert.equal(world.open(parseProof(parseBundle(late.bytes).proof ?? "").checkpoint).quorum, false)

  await peer.close()
  const again = await startPeer(t, config, world)
  assert.ok(await shows(again, 3), "what was shown does not go back")
  await world.restart(1)
  await until(() => shows(again, 4), "the quorum after the witness came back")
})

test("degrade: the newest is shown, with the signatures there are", async (t) => {
  const world = await makeWatched(t)
  await world.witnesses[1]?.close()
  const peer = await startPeer(t, {}, world)
  await until(async () => world.open(await checkpointOf(peer)).cosignatures.length === 1, "one cosignature")
  const bytes = random(10)
  await peer.upload(bytes)
  await peer.publish(await signed(world, [bytes], { version: "1.0.0" }))
  const { checkpoint, quorum } = world.open(await checkpointOf(peer))
  assert.deepEqual([checkpoint.size, quorum], [3, false])
})

async function publish(peer: Peer, world: World, version: string): Promise<number> {
  const bytes = Buffer.from("a model")
  await peer.upload(bytes)
  return (await peer.publish(await signed(world, [bytes], { version }))).status
}

async function witnessed(peer: Peer, world: Watched, size: number): Promise<void> {
  const isShown = async (): Promise<boolean> => {
    const { checkpoint, quorum } = world.open(await checkpointOf(peer))
    return quorum && checkpoint.size === size
  }
  await until(isShown, `a quorum at ${size}`)
}

test("require: what was shown without witnesses is shown until they have caught up; the folder too", async (t) => {
  const world = await makeWatched(t)
  const publishLog = join(world.folder, "published")
  const first = await startPeer(t, { publishLog }, world)
  await witnessed(first, world, 2)
  await world.witnesses[1]?.close()
  assert.equal(await publish(first, world, "1.0.0"), 201)
  await first.close() // 3 was shown, and 2 is witnessed
  const config = { publishLog, witness: { mode: "require" as const } }
  for (const _ of [1, 2]) {
    const peer = await startPeer(t, config, world)
    assert.equal(world.open(await checkpointOf(peer)).checkpoint.size, 3)
    await peer.close()
  }
  const peer = await startPeer(t, config, world)
  assert.equal(await publish(peer, world, "1.1.0"), 201)
  assert.equal(world.open(await checkpointOf(peer)).checkpoint.size, 3)
  await world.restart(1)
  await witnessed(peer, world, 4)
  const inFolder = async (): Promise<string> => await readFile(join(publishLog, "checkpoint"), "utf8")
  await until(async () => world.open(await inFolder()).checkpoint.size === 4, "the folder at 4") // it follows a moment later
})

test("a registry on an old backup does not start when a witness proves it", async (t) => {
  const world = await makeWatched(t)
  const peer = await startPeer(t, {}, world)
  await witnessed(peer, world, 2)
  await peer.close()
  const data = join(world.folder, "data")
  await cp(data, join(world.folder, "backup"), { recursive: true }) // with the copy of the checkpoint in it
  const newer = await startPeer(t, {}, world)
  assert.equal(await publish(newer, world, "1.0.0"), 201)
  await witnessed(newer, world, 3)
  await newer.close()
  await rm(data, { recursive: true })
  await cp(join(world.folder, "backup"), data, { recursive: true })
  await world.witnesses[0]?.close() // one that lives is enough
  await assert.rejects(startPeer(t, {}, world), {
    code: "STORE_FAILED",
    message: /w1 shows that 3 entries were published/,
  })
})

test("a registry that finds out later that another one signs with its key signs nothing more", async (t) => {
  const world = await makeWatched(t)
  const setUp = await startPeer(t, {}, world)
  await witnessed(setUp, world, 2)
  await setUp.close()
  const clone = join(world.folder, "clone")
  await cp(join(world.folder, "data"), clone, { recursive: true })
  const fatal = Promise.withResolvers<RegistryError>()
  const [one, other] = [
    await startPeer(t, {}, world),
    await startPeer(t, { data: clone, onFatal: fatal.resolve }, world),
  ]
  assert.equal(await publish(one, world, "1.0.0"), 201)
  await witnessed(one, world, 3)
  assert.equal(await publish(other, world, "2.0.0"), 201)
  const { code, message } = await fatal.promise
  assert.equal(code, "STORE_FAILED")
  assert.match(message, /another history of 3 entries/)
  assert.equal(await publish(other, world, "3.0.0"), 503)
  assert.equal(await publish(one, world, "3.0.0"), 201)
})

test("a witness that only claims to have seen more stops nobody", async (t) => {
  const world = await makeWatched(t)
  const stranger = new GrownLog().grow(1000)
  const note = await stranger.note() // of the same name, by another key
  const liar = createServer((request, response) => {
    request.resume()
    if (request.method === "GET") return response.end(note)
    return response.writeHead(409, { "content-type": "text/x.tlog.size" }).end("1000\n")
  })
  await new Promise<void>((resolve) => void liar.listen(0, "127.0.0.1", resolve))
  t.after(() => liar.close())
  const url = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`
  const failures: unknown[] = []
  const config = {
    witness: { mode: "degrade" as const, urls: { w1: url } },
    onFatal: (error: unknown) => failures.push(error),
  }
  const peer = await startPeer(t, config, world)
  const isAhead = async (): Promise<boolean> => {
    const { json } = await peer.call("GET", "/readyz")
    return JSON.stringify(json).includes('"ahead"')
  }
  await until(isAhead, "the claim")
  await sleep(100)
  assert.equal(await publish(peer, world, "1.0.0"), 201)
  assert.deepEqual(failures, [])
})

test("a cosignature that the disk does not take ends the process", async (t) => {
  const world = await makeWatched(t)
  const fatal = Promise.withResolvers<RegistryError>()
  const peer = await startPeer(t, { onFatal: fatal.resolve }, world)
  await witnessed(peer, world, 2)
  const db = new DatabaseSync(join(world.folder, "data", "ledger.sqlite"))
  db.exec("CREATE TRIGGER full BEFORE INSERT ON log_cosignatures BEGIN SELECT RAISE(ABORT, 'disk full'); END")
  db.close()
  assert.equal(await publish(peer, world, "1.0.0"), 201)
  assert.equal((await fatal.promise).code, "STORE_FAILED")
  assert.equal(await publish(peer, world, "2.0.0"), 503)
})
