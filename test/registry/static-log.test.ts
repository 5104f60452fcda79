/** The log as a folder of static files: what any web server serves is what the registry serves, and it only grows. */
import assert from "node:assert/strict"
import { chmod, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"

import { openTrustChain } from "@weighlock/manifest"
import type { RegistryError } from "@weighlock/registry"
import { nodeReader, openCheckpoint, tilePath, tilesBetween, treeRoot } from "@weighlock/tlog"

import { type Peer, type World, makeWorld, random, signed, startPeer } from "./support.ts"

const folderOf = ({ folder }: World): string => join(folder, "published")

async function publishTo(peer: Peer, from: number, count: number): Promise<void> {
  const bytes = random(10)
  await peer.upload(bytes)
  const metadata = { license: "x".repeat(9000) }
  for (let i = from; i < from + count; i++) {
    const draft = { version: `1.0.${i}`, ...(i === 0 && { metadata }) }
    assert.equal((await peer.publish(await signed(peer.world, [bytes], draft))).status, 201)
  }
}

/** The size of the checkpoint in the folder, whose root follows from the tiles that are there. */
async function checkFolder(world: World): Promise<number> {
  const folder = folderOf(world)
  const { log } = openTrustChain([await readFile(world.trust)], { by: "file" }).current
  const { size, root } = openCheckpoint(await readFile(join(folder, "checkpoint"), "utf8"), log)
  const tiles = new Map<string, Uint8Array>()
  for (const tile of tilesBetween(0, size)) tiles.set(tilePath(tile), await readFile(join(folder, tilePath(tile))))
  assert.deepEqual(treeRoot(size, nodeReader(size, tiles)), root)
  return size
}

test("every file is what the registry serves, and a restart goes on", async (t) => {
  const world = await makeWorld(t)
  const config = { publishLog: folderOf(world) }
  const first = await startPeer(t, config, world)
  await publishTo(first, 0, 3)
  await first.close()
  assert.equal(await checkFolder(world), 5)
  const peer = await startPeer(t, config, world)
  await publishTo(peer, 3, 255)
  const { bytes: checkpoint } = await peer.call("GET", "/log/checkpoint")
  const names = ["tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/4"]
  const served = await Promise.all(names.map((name) => peer.call("GET", `/log/${name}`)))
  await peer.close()
  assert.equal(await checkFolder(world), 260)
  assert.deepEqual(await readFile(join(folderOf(world), "checkpoint")), checkpoint)
  for (const [i, name] of names.entries())
    assert.deepEqual(await readFile(join(folderOf(world), name)), served[i]?.bytes)
  assert.equal((await readdir(join(folderOf(world), "payload", "sha256"))).length, 1)
  assert.ok(!(await readdir(join(folderOf(world), "tile", "0"))).includes("000.p")) // its full tile took its place
  assert.equal((await stat(folderOf(world))).mode & 0o777, 0o755)
})

test("a folder of another log, or of a later state of this one, is refused", async (t) => {
  const [one, two] = [await makeWorld(t), await makeWorld(t)]
  const folder = folderOf(one)
  const peer = await startPeer(t, { publishLog: folder }, one)
  await publishTo(peer, 0, 1)
  await peer.close()
  await assert.rejects(startPeer(t, { publishLog: folder }, two), { code: "USAGE" })
  await rm(join(one.folder, "data"), { recursive: true })
  await assert.rejects(startPeer(t, { publishLog: folder }, one), { code: "USAGE" })
})

test("a file published with another content ends the process; one left by a crash is taken as it is", async (t) => {
  const world = await makeWorld(t)
  const peer = await startPeer(t, { publishLog: folderOf(world) }, world)
  await publishTo(peer, 0, 1)
  await peer.close()
  const tile = join(folderOf(world), "tile", "0", "000.p")
  await mkdir(tile, { recursive: true })
  await writeFile(join(tile, "4"), "other")
  let told: ((error: RegistryError) => void) | undefined
  const fatal = new Promise<RegistryError>((resolve) => (told = resolve))
  const again = await startPeer(t, { publishLog: folderOf(world), onFatal: (error) => told?.(error) }, world)
  await publishTo(again, 1, 1)
  assert.equal((await fatal).code, "STORE_FAILED")
  await again.close()
  await rm(join(tile, "4"))
  const { bytes } = await startPeer(t, {}, world).then((each) => each.call("GET", "/log/tile/0/000.p/4"))
  await writeFile(join(tile, "4"), bytes)
})

test("a folder that can't be written to is behind, and the log goes on", async (t) => {
  const world = await makeWorld(t)
  const peer = await startPeer(t, { publishLog: folderOf(world) }, world)
  await publishTo(peer, 0, 1)
  await rm(join(folderOf(world), "tile"), { recursive: true })
  await writeFile(join(folderOf(world), "tile"), "in the way")
  await publishTo(peer, 1, 1)
  const { json } = await peer.call("GET", "/readyz")
  assert.equal((json as unknown as { log: { folder: { behind: number } } }).log.folder.behind > 0, true)
  await rm(join(folderOf(world), "tile"))
  await chmod(folderOf(world), 0o755)
})
