/** A process is killed while a blob is in the bucket and not in the ledger: the blob goes, and no other does. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"

import type { S3BlobStore, S3Config } from "@weighlock/registry/s3"

import { type Parcel, parcel } from "../contract/blob-store.ts"
import { FaultProxy } from "../support/fault-proxy.ts"
import { forThisFile, freshBucket, openOn, skip } from "./support.ts"
import { later, openUploads, upload, type UploadsBench } from "./uploads-bench.ts"

const server = forThisFile()
const script = fileURLToPath(new URL("uploads-bench.ts", import.meta.url))

async function freshFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "weighlock-strays-"))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Kills a process that works on the bucket as soon as one of its requests has stalled there so many times. */
async function killedAt(proxy: FaultProxy, times: number, words: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [script, ...words], { stdio: ["ignore", "ignore", "inherit"] })
  const gone = once(child, "exit")
  const start = proxy.faults
  for (let i = 0; i < 600 && proxy.faults < start + times && child.exitCode === null; i++) await sleep(25)
  assert.equal(child.exitCode, null, "it ended before it could be killed")
  child.kill("SIGKILL")
  await gone
  assert.ok(proxy.faults >= start + times)
}

async function digestsIn(store: S3BlobStore, after = ""): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { sha256 } of store.kept(after)) found.push(sha256)
  return found
}

interface Scene {
  readonly folder: string
  readonly config: S3Config
  readonly proxy: FaultProxy
  /** As a registry that starts again has it; there nothing expires. */
  open(): UploadsBench
}

async function scene(t: TestContext): Promise<Scene> {
  const [folder, config] = [await freshFolder(t), await freshBucket(server())]
  const proxy = await FaultProxy.start(t, config.endpoint)
  const open = (): UploadsBench => {
    const bench = openUploads(folder, config, false)
    t.after(() => bench.close())
    return bench
  }
  return { folder, config: { ...config, endpoint: proxy.url }, proxy, open }
}

test(
  "killed between forgetting blobs and removing them: the next run removes them, and no other",
  { skip },
  async (t) => {
    const { folder, config, proxy, open } = await scene(t)
    const own = openUploads(folder, config)
    const sent = Array.from({ length: 8 }, () => parcel(1000))
    await upload(own, sent)
    await own.close()
    proxy.fault("DELETE", /blobs\/sha256\//, { kind: "stall" })
    await killedAt(proxy, 8, [folder, JSON.stringify(config), "expire"])
    proxy.heal()
    const bench = open()
    const kept = [parcel(1000), parcel(9_000_000)]
    await upload(bench, kept)
    const left = await digestsIn(bench.store)
    assert.equal(left.length, 10)
    assert.equal((await bench.ledger.blobs(left)).size, 2)
    await bench.uploads.expire(Date.now() - 60_000) // somebody may be at work with what is young
    assert.equal((await digestsIn(bench.store)).length, 10)
    await bench.uploads.expire(later())
    assert.deepEqual(await digestsIn(bench.store), kept.map(({ upload: { sha256 } }) => sha256).toSorted())
  },
)

test("killed between putting blobs in their place and recording them: the same", { skip }, async (t) => {
  const { folder, config, proxy, open } = await scene(t)
  proxy.fault("DELETE", /staging\//, { kind: "stall" })
  await killedAt(proxy, 8, [folder, JSON.stringify(config), "upload"])
  proxy.heal()
  const bench = open()
  const left = await digestsIn(bench.store)
  assert.equal(left.length, 8)
  assert.equal((await bench.ledger.blobs(left)).size, 0)
  const [proven = ""] = left
  assert.equal(await bench.uploads.complete(proven), "present") // its client came back
  await bench.uploads.expire(later())
  assert.deepEqual(await digestsIn(bench.store), [proven])
})

test("blobs are listed in order, from anywhere on", { skip }, async (t) => {
  const bench = openOn(t, await freshBucket(server()))
  const sent = Array.from({ length: 20 }, () => parcel(10))
  const put = async ({ upload: file, bytes }: Parcel): Promise<void> => {
    for (const grant of await bench.store.declare(file, 1)) await bench.put(grant, bytes)
    await bench.store.complete(file.sha256)
  }
  await Promise.all(sent.map(put))
  const all = sent.map(({ upload: { sha256 } }) => sha256).toSorted()
  assert.deepEqual(await digestsIn(bench.store), all)
  for (const at of [0, 7, 19]) assert.deepEqual(await digestsIn(bench.store, all[at]), all.slice(at + 1))
  assert.deepEqual(await digestsIn(bench.store, "f".repeat(64)), [])
})
