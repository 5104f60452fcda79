/** The folder store keeps the contract, and what only a folder can show. */
import assert from "node:assert/strict"
import { mkdtemp, readdir, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"

import { HashPool } from "@weighlock/manifest/node"
import { FolderBlobStore } from "@weighlock/registry"

import { blobStoreContract } from "./blob-store-contract.ts"
import { random, sha256, startPeer } from "./support.ts"

async function openStore(t: TestContext): Promise<FolderBlobStore> {
  const folder = await mkdtemp(join(tmpdir(), "weighlock-blobs-"))
  const hashes = new HashPool(2)
  t.after(async () => {
    await hashes.close()
    await rm(folder, { recursive: true, force: true })
  })
  return FolderBlobStore.open(folder, hashes)
}

blobStoreContract("folder", openStore)

test("a blob is one read-only file by its digest, staging is empty afterwards, folders are the owner's", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(100)
  await peer.upload(bytes)
  const data = join(peer.world.folder, "data")
  const path = join(data, "blobs", sha256(bytes).slice(0, 2), sha256(bytes))
  assert.equal((await stat(path)).mode & 0o777, 0o400)
  assert.equal((await stat(data)).mode & 0o777, 0o700)
  assert.deepEqual(await readdir(join(data, "staging")), [])
})
