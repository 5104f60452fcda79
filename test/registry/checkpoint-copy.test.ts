/** The copy of the checkpoint outside the database: one process writes it, and one that finds another's words in it stops. */
import assert from "node:assert/strict"
import { cp, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"

import { CheckpointCopy, type RegistryError } from "@weighlock/registry"

import { makeWorld, random, signed, startPeer } from "./support.ts"

test("two registries on clones of one data folder, with one copy of the checkpoint: the second is refused", async (t) => {
  const world = await makeWorld(t)
  const checkpointCopy = join(world.folder, "elsewhere", "checkpoint")
  await (await startPeer(t, { checkpointCopy }, world)).close()
  const clone = join(world.folder, "clone")
  await cp(join(world.folder, "data"), clone, { recursive: true })
  const one = await startPeer(t, { checkpointCopy }, world)
  const error = { code: "CONFLICT", message: /copy of the checkpoint/ }
  await assert.rejects(startPeer(t, { checkpointCopy, data: clone }, world), error)
  await one.close()
  await (await startPeer(t, { checkpointCopy, data: clone }, world)).close()
})

test("a copy that somebody else has written to stops the registry, and is left as it is", async (t) => {
  const world = await makeWorld(t)
  const checkpointCopy = join(world.folder, "elsewhere", "checkpoint")
  const fatal = Promise.withResolvers<RegistryError>()
  const peer = await startPeer(t, { checkpointCopy, onFatal: fatal.resolve }, world)
  const bytes = random(10)
  await peer.upload(bytes)
  assert.equal((await peer.publish(await signed(world, [bytes], { version: "1.0.0" }))).status, 201)
  await writeFile(checkpointCopy, "a checkpoint from another machine\n")
  assert.equal((await peer.publish(await signed(world, [bytes], { version: "2.0.0" }))).status, 503)
  assert.equal((await fatal.promise).code, "STORE_FAILED")
  await peer.close()
  assert.deepEqual(await CheckpointCopy.read(checkpointCopy), ["a checkpoint from another machine\n", ""])
})
