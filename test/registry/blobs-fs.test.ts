/** The folder store keeps the contract, and what only a folder can show. */
import assert from "node:assert/strict"
import { mkdtemp, readdir, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { type TestContext, test } from "node:test"

import { modelHasher } from "@weighlock/manifest/node"
import { FolderBlobStore, type Grant, RegistryGrants, type Upload, grantHeader } from "@weighlock/registry"

import { type Bench, absent, blobStoreContract, flipped, most, parcel, read } from "../contract/blob-store.ts"
import { random, sha256, startPeer } from "./support.ts"

interface FolderBench extends Bench {
  readonly store: FolderBlobStore
  /** What a ledger would have of the digests that were completed. */
  readonly recorded: Map<string, Upload>
  send(grant: Grant, body: Readable): Promise<void>
}

async function openBench(t: TestContext, options: { grantLifeSeconds?: number } = {}): Promise<FolderBench> {
  const folder = await mkdtemp(join(tmpdir(), "weighlock-blobs-"))
  const hasher = modelHasher(2)
  t.after(async () => {
    await hasher.close()
    await rm(folder, { recursive: true, force: true })
  })
  const grants = new RegistryGrants(() => "http://127.0.0.1:1", options.grantLifeSeconds)
  const store = await FolderBlobStore.open(folder, hasher, grants)
  const recorded = new Map<string, Upload>()
  const known = async (sha256: string): Promise<Upload | null> => recorded.get(sha256) ?? null
  const send = async ({ url, headers }: Grant, body: Readable): Promise<void> => {
    const [, sha256 = "", part = ""] = /uploads\/([0-9a-f]{64})\/parts\/([0-9]+)$/.exec(url) ?? []
    await store.writePart({ grant: headers[grantHeader], sha256, number: Number(part) }, body, known)
  }
  return { store, recorded, send, put: (grant, bytes) => send(grant, Readable.from([bytes], { objectMode: false })) }
}

blobStoreContract("folder", openBench)

test("other bytes, fewer or more are DIGEST_MISMATCH; a part that was never declared is FORBIDDEN", async (t) => {
  const { store, put } = await openBench(t)
  const sent = parcel(1000)
  const [grant] = (await store.declare(sent.upload, most)) as [Grant]
  for (const bytes of [Buffer.alloc(0), random(999), random(1000), random(1001)])
    await assert.rejects(put(grant, bytes), { code: "DIGEST_MISMATCH" })
  const second = { ...grant, url: grant.url.replace("/parts/1", "/parts/2") }
  await assert.rejects(put(second, sent.bytes), { code: "FORBIDDEN" })
})

test("a part that is kept can't be spoilt by a later writer, who is told", async (t) => {
  const { store, put, recorded } = await openBench(t)
  const sent = parcel(9_000_000)
  const grants = (await store.declare(sent.upload, most)) as [Grant, Grant]
  for (const grant of grants) await put(grant, sent.part(grant.part))
  await put(grants[0], sent.part(1))
  await assert.rejects(put(grants[0], random(10)), { code: "DIGEST_MISMATCH" })
  await assert.rejects(put(grants[0], flipped(sent.part(1))), { code: "DIGEST_MISMATCH" })
  recorded.set(sent.upload.sha256, await store.complete(sent.upload.sha256))
  await put(grants[0], sent.part(1)) // completed while this was on its way
  await assert.rejects(put(grants[0], flipped(sent.part(1))), { code: "DIGEST_MISMATCH" })
  assert.deepEqual(await read(store, sent.upload.sha256), sent.bytes)
})

test("who is superseded and has sent other bytes is told so, though the part is kept", async (t) => {
  const { store, put, send } = await openBench(t)
  const sent = parcel(1000)
  const [grant] = (await store.declare(sent.upload, most)) as [Grant]
  const slow = new Readable({ read: () => undefined })
  slow.push(Buffer.alloc(500, 7))
  const first = send(grant, slow)
  first.catch(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, 50))
  slow.push(Buffer.alloc(500, 7))
  slow.push(null)
  await put(grant, sent.bytes)
  await assert.rejects(first, { code: "DIGEST_MISMATCH" })
  assert.equal((await store.complete(sent.upload.sha256)).size, 1000)
})

test("the newest writer of a part wins over one that stalls, and both are told so", async (t) => {
  const { store, put, send } = await openBench(t)
  const sent = parcel(1000)
  const [grant] = (await store.declare(sent.upload, most)) as [Grant]
  const stalled = new Readable({ read: () => undefined })
  stalled.push(sent.bytes.subarray(0, 500))
  const first = send(grant, stalled)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await put(grant, sent.bytes)
  await first
  assert.equal((await store.complete(sent.upload.sha256)).size, 1000)
})

test("a grant whose declaration is gone is NOT_FOUND", async (t) => {
  const { store, put } = await openBench(t)
  const sent = parcel(9_000_000)
  const [grant] = (await store.declare(sent.upload, most)) as [Grant]
  await store.expire(Date.now() + 60_000)
  await assert.rejects(put(grant, sent.part(1)), { code: "NOT_FOUND" })
  assert.equal(await store.size(absent), null)
})

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
