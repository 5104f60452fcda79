/** A registry whose trust root asks for two witnesses, with real ones: what readers are shown, and when one is away. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
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
import { addLog, type RunningWitness, startWitness } from "@weighlock/registry"
import { formatVkey, openWitnessed, parseProof, parseWitnessPolicy, type WitnessedCheckpoint } from "@weighlock/tlog"
import { origin, type Peer, random, signed, startPeer, type World } from "../registry/support.ts"

interface Watched extends World {
  readonly witnesses: RunningWitness[]
  /** Starts it again, where it was. */
  restart(at: number): Promise<void>
  open(note: string): WitnessedCheckpoint
}

async function makeWatched(t: TestContext): Promise<Watched> {
  const folder = await mkdtemp(join(tmpdir(), "weighlock-watched-"))
  t.after(() => rm(folder, { recursive: true, force: true }))
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
  for (const end = performance.now() + 15_000; !(await done());) {
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
