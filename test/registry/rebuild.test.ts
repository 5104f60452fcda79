/** A ledger is made anew from the published log, its payloads and blobs: same root, same answers; or not at all. */
import assert from "node:assert/strict"
import { cp, readFile, readdir, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type TestContext, test } from "node:test"

import { parseBundle } from "@weighlock/manifest"
import { fsck, rebuild } from "@weighlock/registry"

import { type Peer, type World, random, sha256, signed, startPeer } from "./support.ts"
import { sample } from "../support/thorough.ts"

interface Published {
  readonly world: World
  readonly source: string
  readonly data: string
  readonly blobs: readonly Buffer[]
  readonly answers: ReadonlyMap<string, Buffer>
}

async function publishedLog(t: TestContext, count = 300): Promise<Published> {
  const { world, close, peer } = await open(t)
  const blobs = [random(100), random(9_000_000)]
  for (const bytes of blobs) await peer.upload(bytes)
  const metadata = { license: "x".repeat(9000) }
  const answers = new Map<string, Buffer>()
  const one = async (i: number): Promise<void> => {
    const draft = { version: `1.0.${i}`, ...(i === 0 && { metadata }) }
    const { status, bytes } = await peer.publish(await signed(world, i < 3 ? blobs : blobs.slice(0, 1), draft))
    assert.equal(status, 201)
    answers.set(draft.version, bytes)
  }
  for (let i = 0; i < count; i += 50) await Promise.all(Array.from({ length: 50 }, (_, at) => one(i + at)))
  await close()
  return { world, source: join(world.folder, "published"), data: join(world.folder, "rebuilt"), blobs, answers }
}

async function open(t: TestContext): Promise<{ peer: Peer; world: World; close: () => Promise<void> }> {
  const { makeWorld } = await import("./support.ts")
  const world = await makeWorld(t)
  const peer = await startPeer(t, { publishLog: join(world.folder, "published") }, world)
  return { peer, world, close: peer.close }
}

test("the rebuilt registry has the same root and gives the same answers", async (t) => {
  const { world, source, data, answers, blobs } = await publishedLog(t)
  const old = join(world.folder, "data")
  const steps: number[] = []
  const { size, root, versions, missing } = await rebuild(
    { source, data, trust: world.trust, blobs: old, newest: true },
    ({ entries }) => steps.push(entries),
  )
  assert.deepEqual([size, versions, missing, steps], [302, 300, [], [256, 302]])
  const before = await fsck({ data: old, trust: world.trust, hashBlobs: true })
  const after = await fsck({ data, trust: world.trust, hashBlobs: true })
  assert.deepEqual([before.findings, after.findings], [[], []])
  assert.deepEqual([before.root, after.root, after.size], [root, root, 302])
  const peer = await startPeer(t, { data, publishLog: source }, world)
  for (const version of ["1.0.0", "1.0.1", "1.0.299"]) {
    const { bytes } = await peer.call("GET", `/api/v1/models/acme/mnist/versions/${version}`)
    const [found, first] = [parseBundle(bytes), parseBundle(answers.get(version) ?? Buffer.alloc(0))]
    assert.deepEqual([found.entry, found.envelope], [first.entry, first.envelope])
  }
  for (const bytes of blobs) {
    assert.deepEqual((await peer.call("GET", `/api/v1/blobs/sha256/${sha256(bytes)}`)).bytes, bytes)
  }
  const again = await signed(world, blobs.slice(0, 1), { version: "1.0.299" })
  assert.equal((await peer.publish(again)).status, 200)
  assert.equal((await peer.publish(await signed(world, blobs, { version: "2.0.0" }))).status, 201)
})

test("without its blobs the versions are there, and publishing again brings the blobs back", async (t) => {
  const { world, source, data, blobs } = await publishedLog(t, 50)
  const { missing } = await rebuild({ source, data, trust: world.trust, newest: true })
  assert.deepEqual([...new Set(missing.map((file) => file.sha256))].toSorted(), blobs.map(sha256).toSorted())
  // Every file of every version, also those that share their bytes.
  assert.equal(new Set(missing.map(({ model, version }) => `${model}@${version}`)).size, 50)
  assert.ok(missing.length > blobs.length && missing.every(({ path }) => path.length > 0))
  const { findings } = await fsck({ data, trust: world.trust })
  assert.deepEqual(
    findings.map(({ rule }) => rule),
    ["blob-file", "blob-file"],
  )
  const peer = await startPeer(t, { data }, world)
  const [small = Buffer.alloc(0), large = Buffer.alloc(0)] = blobs
  assert.equal((await peer.upload(small)).status, 200)
  assert.equal((await peer.upload(large)).status, 200)
  assert.deepEqual((await peer.call("GET", `/api/v1/blobs/sha256/${sha256(small)}`)).bytes, small)
})

test("a source that is not what was signed makes nothing", async (t) => {
  const { world, source, data } = await publishedLog(t)
  const [payload = ""] = await readdir(join(source, "payload", "sha256"))
  const damages: Record<string, (folder: string) => Promise<void>> = {
    "a flipped bit in a full bundle": (folder) => flip(join(folder, "tile", "entries", "000")),
    "a flipped bit in the last bundle": (folder) => flip(join(folder, "tile", "entries", "001.p", "46")),
    "a bundle taken away": (folder) => rm(join(folder, "tile", "entries", "000")),
    "a payload taken away": (folder) => rm(join(folder, "payload", "sha256", payload)),
    "a payload garbled": (folder) => flip(join(folder, "payload", "sha256", payload)),
    "a flipped bit in the checkpoint": (folder) => flip(join(folder, "checkpoint")),
    "bundles swapped": async (folder) => {
      const last = await readFile(join(folder, "tile", "entries", "001.p", "46"))
      await writeFile(join(folder, "tile", "entries", "000"), last)
    },
  }
  for (const [name, damage] of sample(Object.entries(damages), 2)) {
    const folder = join(world.folder, "damaged")
    await cp(source, folder, { recursive: true })
    await damage(folder)
    const options = { source: folder, data, trust: world.trust, newest: true }
    await assert.rejects(rebuild(options), { code: "STORE_FAILED" }, name)
    assert.ok(!(await readdir(data)).includes("ledger.sqlite"), name)
    await rm(folder, { recursive: true })
  }
  await assert.rejects(rebuild({ source: world.folder, data, trust: world.trust, newest: true }), { code: "USAGE" })
  const inUse = join(world.folder, "data")
  await assert.rejects(rebuild({ source, data: inUse, trust: world.trust }), {
    code: "USAGE",
    message: /ledger already/,
  })
})

test("a source that may be behind what was published is not gone on from", async (t) => {
  const { world, source, data } = await publishedLog(t, 50)
  const old = join(world.folder, "old-export")
  await cp(source, old, { recursive: true })
  const peer = await startPeer(t, { publishLog: source }, world)
  const bytes = random(10)
  await peer.upload(bytes)
  assert.equal((await peer.publish(await signed(world, [bytes], { version: "9.0.0" }))).status, 201)
  const checkpoint = join(world.folder, "seen.checkpoint")
  await writeFile(checkpoint, (await peer.call("GET", "/log/checkpoint")).bytes)
  await peer.close()
  await rm(join(world.folder, "data"), { recursive: true }) // the disk is lost, and with it the copy
  const options = { source: old, data, trust: world.trust }
  await assert.rejects(rebuild(options), { code: "USAGE", hint: /--newest/ })
  await assert.rejects(rebuild({ ...options, checkpoint }), { code: "STORE_FAILED", message: /53 .* an old one/ })
  await assert.rejects(rebuild({ ...options, checkpoint, newest: true }), { code: "STORE_FAILED" })
  await assert.rejects(rebuild({ ...options, checkpoint: world.trust }), { code: "STORE_FAILED" })
  assert.ok(!(await readdir(data)).includes("ledger.sqlite"))
  assert.equal((await rebuild({ ...options, source, checkpoint })).size, 53)
})

test("a checkpoint of a state that the source did not go through is refused", async (t) => {
  const { world, source, data } = await publishedLog(t, 50)
  await rm(join(world.folder, "data"), { recursive: true })
  const peer = await startPeer(t, {}, world) // the same keys, another history
  const checkpoint = join(world.folder, "other.checkpoint")
  await writeFile(checkpoint, (await peer.call("GET", "/log/checkpoint")).bytes)
  await peer.close()
  const options = { source, data, trust: world.trust, checkpoint }
  await assert.rejects(rebuild(options), { code: "STORE_FAILED", message: /another root at 2 / })
  await writeFile(checkpoint, await readFile(join(source, "checkpoint")))
  assert.equal((await rebuild(options)).size, 52)
})

test("nothing is rebuilt where somebody works", async (t) => {
  const { world, source, data } = await publishedLog(t, 50)
  const checkpointCopy = join(world.folder, "data", "checkpoint")
  await startPeer(t, {}, world)
  await assert.rejects(rebuild({ source, data, trust: world.trust, checkpointCopy }), { code: "CONFLICT" })
  const twice = [1, 2].map(() => rebuild({ source, data, trust: world.trust, newest: true }))
  const ends = (await Promise.allSettled(twice)).map(({ status }) => status)
  assert.deepEqual(ends.toSorted(), ["fulfilled", "rejected"])
})

test("an export older than what the copy of the checkpoint says was published is refused", async (t) => {
  const { world, source, data } = await publishedLog(t, 50)
  const old = join(world.folder, "old-export")
  await cp(source, old, { recursive: true })
  const peer = await startPeer(t, { publishLog: source }, world)
  const bytes = random(10)
  await peer.upload(bytes)
  assert.equal((await peer.publish(await signed(world, [bytes], { version: "9.0.0" }))).status, 201)
  await peer.close()
  const checkpointCopy = join(world.folder, "data", "checkpoint")
  const options = { data, trust: world.trust, checkpointCopy }
  await assert.rejects(rebuild({ ...options, source: old }), { code: "STORE_FAILED", message: /an old one/ })
  assert.equal((await rebuild({ ...options, source })).size, 53)
})

async function flip(path: string): Promise<void> {
  const bytes = await readFile(path)
  const at = Math.floor(bytes.length / 2)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(path, bytes)
}
