/** Promise 1: whatever ends the process, every acknowledged publish is there afterwards, byte for byte. */
import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import { fileURLToPath } from "node:url"

import { Peer, type World, firstLine, makeWorld, random, signed, startPeer } from "./support.ts"
import { some } from "../support/thorough.ts"

const script = fileURLToPath(new URL("serve-child.ts", import.meta.url))

async function spawnPeer(t: TestContext, world: World, limit?: string): Promise<{ peer: Peer; child: ChildProcess }> {
  const words = [process.execPath, script, join(world.folder, "data"), world.trust]
  const shell = ["-c", `ulimit -c 0; ulimit -f ${limit}; exec "$@"`, "sh", ...words]
  const child = limit
    ? spawn("sh", shell, { stdio: ["ignore", "pipe", "ignore"] })
    : spawn(words[0] ?? "", words.slice(1), { stdio: ["ignore", "pipe", "inherit"] })
  t.after(() => child.kill("SIGKILL"))
  const line = await firstLine(child)
  return { peer: new Peer(line, world, async () => undefined), child }
}

/** Publishes versions until the registry is gone; answers what was acknowledged. */
async function publishUntilGone(
  peer: Peer,
  envelopes: ReadonlyMap<string, Buffer>,
  told: (count: number) => void = () => undefined,
): Promise<Map<string, Buffer>> {
  const acknowledged = new Map<string, Buffer>()
  const todo = [...envelopes]
  const worker = async (): Promise<void> => {
    for (let next = todo.shift(); next; next = todo.shift()) {
      const [version, envelope] = next
      const reply = await peer.publish(envelope)
      if (reply.status !== 201 && reply.status !== 200) continue
      acknowledged.set(version, reply.bytes)
      told(acknowledged.size)
    }
  }
  await Promise.allSettled(Array.from({ length: 16 }, worker))
  return acknowledged
}

/** What of a bundle never changes: the entry's bytes and its index. Its proof may be of a newer checkpoint. */
function placeOf(bundle: Buffer): unknown {
  const { entry, proof, envelope } = JSON.parse(bundle.toString()) as { entry: string; proof: string; envelope: object }
  return { entry, envelope, index: /^index (\d+)$/m.exec(proof)?.[1] }
}

/** With Node's own SQLite, none of the registry's code: the rows that are there. */
function rowsOf(world: World): number {
  const db = new DatabaseSync(join(world.folder, "data", "ledger.sqlite"), { readOnly: true })
  try {
    return Number(db.prepare("SELECT count(*) AS n FROM manifests").get()?.["n"])
  } finally {
    db.close()
  }
}

async function versionsOf(world: World, bytes: Buffer, round: number, count: number): Promise<Map<string, Buffer>> {
  const versions = Array.from({ length: count }, (_, i) => `${round}.0.${i}`)
  return new Map(
    await Promise.all(versions.map(async (version) => [version, await signed(world, [bytes], { version })] as const)),
  )
}

test("kill -9 in the middle of publishing, again and again", async (t) => {
  const world = await makeWorld(t)
  const bytes = random(10)
  const journal = new Map<string, Buffer>()
  let inTheMiddle = 0
  const rounds = some(6, 3)
  for (let round = 1; round <= rounds; round++) {
    const { peer, child } = await spawnPeer(t, world)
    assert.equal((await peer.upload(bytes)).status, 200)
    const envelopes = await versionsOf(world, bytes, round, some(400, 2))
    const acknowledged = await publishUntilGone(peer, envelopes, (count) => {
      if (count === 1 + (round - 1) * 30) setTimeout(() => child.kill("SIGKILL"), Math.random() * 10)
    })
    for (const [version, bundle] of acknowledged) journal.set(version, bundle)
    if (acknowledged.size > 0 && acknowledged.size < envelopes.size) inTheMiddle += 1
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
  }
  t.diagnostic(`${journal.size} acknowledged, ${inTheMiddle} of ${rounds} rounds killed in the middle`)
  assert.ok(inTheMiddle > 0)
  const after = await startPeer(t, {}, world)
  assert.ok(rowsOf(world) >= journal.size)
  for (const [version, bundle] of journal) {
    const found = await after.call("GET", `/api/v1/models/acme/mnist/versions/${version}`)
    assert.deepEqual(placeOf(found.bytes), placeOf(bundle), version)
  }
})

test("a disk that takes no more ends the process; what was acknowledged is there", async (t) => {
  const world = await makeWorld(t)
  const bytes = random(10)
  const first = await startPeer(t, {}, world)
  await first.upload(bytes)
  await first.close()
  const { peer, child } = await spawnPeer(t, world, "2048") // blocks of 512 bytes or 1 KiB: some of the rows below, not all
  const metadata = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`k${i}`, "x".repeat(1000)]))
  const versions = Array.from({ length: 200 }, (_, i) => `1.0.${i}`)
  const envelopes = new Map<string, Buffer>()
  for (const version of versions) envelopes.set(version, await signed(world, [bytes], { version, metadata }))
  const gone = once(child, "exit")
  const journal = await publishUntilGone(peer, envelopes)
  const [code, signal] = (await gone) as [number | null, string | null]
  t.diagnostic(`${journal.size} acknowledged, then exit ${code ?? signal}`)
  assert.ok(code !== 0 || signal !== null)
  assert.ok(journal.size > 0 && journal.size < envelopes.size)
  const after = await startPeer(t, {}, world)
  for (const [version, bundle] of journal) {
    const found = await after.call("GET", `/api/v1/models/acme/mnist/versions/${version}`)
    assert.deepEqual(placeOf(found.bytes), placeOf(bundle))
  }
  for (const envelope of envelopes.values()) assert.ok([200, 201].includes((await after.publish(envelope)).status))
})

test("a second registry on the folder is refused while the first lives, and starts when it was killed", async (t) => {
  const world = await makeWorld(t)
  const { child } = await spawnPeer(t, world)
  await assert.rejects(startPeer(t, {}, world), { code: "CONFLICT" })
  child.kill("SIGKILL")
  await once(child, "exit")
  assert.equal((await (await startPeer(t, {}, world)).call("GET", "/readyz")).status, 200)
})

test("SIGTERM finishes what is in flight and exits 0", async (t) => {
  const world = await makeWorld(t)
  const bytes = random(10)
  const { peer, child } = await spawnPeer(t, world)
  await peer.upload(bytes)
  const envelopes = await versionsOf(world, bytes, 1, 50)
  const replies = Promise.allSettled([...envelopes.values()].map((envelope) => peer.publish(envelope)))
  await new Promise((resolve) => setTimeout(resolve, 20))
  child.kill("SIGTERM")
  const [code] = (await once(child, "exit")) as [number]
  assert.equal(code, 0)
  const after = await startPeer(t, {}, world)
  const acknowledged = (await replies).filter((each) => each.status === "fulfilled" && each.value.status === 201)
  assert.ok(rowsOf(world) >= acknowledged.length)
  assert.equal((await after.call("GET", "/healthz")).status, 200)
})
