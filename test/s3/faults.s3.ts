/** What a bucket and the way to it may do wrong: nothing wrong is ever called present, and every fault is UNAVAILABLE. */
import assert from "node:assert/strict"
import { test, type TestContext } from "node:test"

import type { Grant } from "@weighlock/registry"
import type { S3StoreOptions } from "@weighlock/registry/s3"

import { most, parcel, read, send } from "../contract/blob-store.ts"
import { type Fault, FaultProxy, errorXml } from "../support/fault-proxy.ts"
import { type S3Bench, forThisFile, freshBucket, openOn, skip } from "./support.ts"

const server = forThisFile()
const mib = 2 ** 20
/** So that a fault ends soon; a machine that is busy may take the first seconds of it. */
const timeouts = { connect: 2000, idle: 4000, call: 15_000, work: 15_000 }

async function between(t: TestContext, options: S3StoreOptions = {}): Promise<S3Bench & { proxy: FaultProxy }> {
  const config = await freshBucket(server())
  const proxy = await FaultProxy.start(t, config.endpoint)
  return { ...openOn(t, { ...config, endpoint: proxy.url }, { timeouts, ...options }), proxy }
}

const failures: readonly [string, string, RegExp, Fault][] = [
  ["a reset HEAD", "HEAD", /./, { kind: "reset" }],
  ["a HEAD that is never answered", "HEAD", /./, { kind: "stall" }],
  ["a HEAD without permission", "HEAD", /./, { kind: "answer", status: 403, body: "" }],
  ["an error of the store at HEAD", "HEAD", /./, { kind: "answer", status: 500, body: "" }],
]
for (const [name, method, path, fault] of failures) {
  test(`${name}: UNAVAILABLE, never absent`, { skip }, async (t) => {
    const { store, proxy } = await between(t)
    proxy.fault(method, path, fault)
    await assert.rejects(store.size("0".repeat(64)), { code: "UNAVAILABLE" })
    proxy.heal()
    assert.equal(await store.size("0".repeat(64)), null)
  })
}

const unreadable: readonly [string, Fault][] = [
  ["is cut", { kind: "cut", after: 1000 }],
  ["is shorter than it says", { kind: "short", after: 1000 }],
  ["ends in silence", { kind: "hang", after: 1000 }],
  ["is of another range", { kind: "other range" }],
  ["is the whole, they say", { kind: "ignored range" }],
  ["is an error with status 200", { kind: "other answer", status: 200, body: errorXml("InternalError") }],
  ["is an error with status 206", { kind: "other answer", status: 206, body: errorXml("InternalError") }],
]
for (const [name, fault] of unreadable) {
  test(`what is read back ${name}, always: UNAVAILABLE, then proven when it is well again`, { skip }, async (t) => {
    const bench = await between(t)
    const { store, proxy } = bench
    const sent = parcel(9 * mib)
    await send(bench, sent)
    proxy.fault("GET", /staging\/[^?]*\?x-id=GetObject/, fault)
    await assert.rejects(store.complete(sent.upload.sha256), { code: "UNAVAILABLE" })
    assert.ok(proxy.faults > 0)
    assert.equal(await store.size(sent.upload.sha256), null)
    proxy.heal()
    assert.deepEqual(await store.declare(sent.upload, most), [])
    assert.deepEqual(await store.complete(sent.upload.sha256), sent.upload)
    assert.deepEqual(await read(store, sent.upload.sha256), sent.bytes)
  })
  test(`what is read back ${name}, once: it is asked for again`, { skip }, async (t) => {
    const bench = await between(t)
    const sent = parcel(9 * mib)
    await send(bench, sent)
    bench.proxy.fault("GET", /staging\/[^?]*\?x-id=GetObject/, fault, 1)
    assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
    assert.equal(bench.proxy.faults, 1)
  })
}

for (const size of [1000, 9 * mib]) {
  test(`one bit of ${size} bytes is read back otherwise: never present, and can be sent again`, { skip }, async (t) => {
    const bench = await between(t)
    const sent = parcel(size)
    await send(bench, sent)
    bench.proxy.fault("GET", /staging\/[^?]*\?x-id=GetObject/, { kind: "flip answer", at: 700 }, 1)
    await assert.rejects(bench.store.complete(sent.upload.sha256), { code: "DIGEST_MISMATCH" })
    assert.equal(await bench.store.size(sent.upload.sha256), null)
    await send(bench, sent)
    assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
  })

  test(`one bit of ${size} bytes flips on the way to the bucket: refused there`, { skip }, async (t) => {
    const bench = await between(t)
    const sent = parcel(size)
    bench.proxy.fault("PUT", /staging/, { kind: "flip request", at: 99 }, 1)
    await assert.rejects(send(bench, sent), /XAmzContentSHA256Mismatch/)
    await send(bench, sent)
    assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
  })

  test(`the answer to a PUT of ${size} bytes is lost: it is there when asked again`, { skip }, async (t) => {
    const bench = await between(t)
    const sent = parcel(size)
    bench.proxy.fault("PUT", /staging/, { kind: "lost answer" }, 1)
    await assert.rejects(send(bench, sent))
    const left = await bench.store.declare(sent.upload, most)
    assert.deepEqual(
      left.map(({ part }) => part),
      size === 1000 ? [] : [2],
    )
    await send(bench, sent)
    assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
  })
}

const completions: readonly [string, string, RegExp, Fault][] = [
  ["the answer to complete is lost", "POST", /uploadId=/, { kind: "lost answer" }],
  [
    "complete is done and answered with an error and status 200",
    "POST",
    /uploadId=/,
    { kind: "other answer", status: 200, body: errorXml("InternalError") },
  ],
  ["the answer to copy is lost", "PUT", /blobs/, { kind: "lost answer" }],
  [
    "copy is done and answered with an error and status 200",
    "PUT",
    /blobs/,
    { kind: "other answer", status: 200, body: errorXml("InternalError") },
  ],
  ["the answer to the last delete is lost", "DELETE", /staging/, { kind: "lost answer" }],
]
for (const [name, method, path, fault] of completions) {
  test(`${name}, once: the outcome is the same`, { skip }, async (t) => {
    const bench = await between(t)
    const sent = parcel(9 * mib)
    await send(bench, sent)
    bench.proxy.fault(method, path, fault, 1)
    assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
    assert.equal(bench.proxy.faults, 1)
    assert.deepEqual(await read(bench.store, sent.upload.sha256), sent.bytes)
  })
}

const lies: readonly [string, string, RegExp][] = [
  ["complete", "POST", /uploadId=/],
  ["copy", "PUT", /blobs/],
]
for (const [name, method, path] of lies) {
  for (const body of [errorXml("InternalError"), "", "<CompleteMultipartUploadResult/>", "OK"]) {
    const said = JSON.stringify(body.slice(-30))
    test(`${name} is not done, and answered with status 200 and ${said}: never present`, { skip }, async (t) => {
      const bench = await between(t)
      const sent = parcel(9 * mib)
      await send(bench, sent)
      bench.proxy.fault(method, path, { kind: "answer", status: 200, body })
      await assert.rejects(bench.store.complete(sent.upload.sha256), { code: "UNAVAILABLE" })
      assert.equal(await bench.store.size(sent.upload.sha256), null)
      bench.proxy.heal()
      assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
    })
  }
}

test("a bucket that is reached slowly is only slow", { skip }, async (t) => {
  const bench = await between(t)
  const sent = parcel(9 * mib)
  for (const method of ["GET", "PUT", "HEAD", "POST"]) bench.proxy.fault(method, /./, { kind: "delay", ms: 100 })
  await send(bench, sent)
  assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
})

test("a store that starts anew goes on from what the bucket has: parts, then the object", { skip }, async (t) => {
  const config = await freshBucket(server())
  const sent = parcel(20 * mib)
  const first = openOn(t, config)
  const grants = (await first.store.declare(sent.upload, most)) as [Grant, Grant, Grant]
  await first.put(grants[1], sent.part(2))
  const second = openOn(t, config)
  await assert.rejects(second.store.complete(sent.upload.sha256), { code: "CONFLICT" })
  const left = await second.store.declare(sent.upload, most)
  assert.deepEqual(
    left.map(({ part }) => part),
    [1, 3],
  )
  await first.put(grants[0], sent.part(1)) // a grant of the process before is still good
  await second.put(left[1] as Grant, sent.part(3))
  const third = openOn(t, config)
  assert.deepEqual(await third.store.complete(sent.upload.sha256), sent.upload)
  assert.deepEqual(await openOn(t, config).store.complete(sent.upload.sha256), sent.upload)
})

test("a blob in its place that the ledger does not know is hashed again, or thrown away", { skip }, async (t) => {
  const bench = await between(t)
  const sent = parcel(1000)
  await send(bench, sent)
  await bench.store.complete(sent.upload.sha256)
  bench.proxy.fault("GET", /blobs/, { kind: "flip answer", at: 1 }, 1)
  await assert.rejects(bench.store.complete(sent.upload.sha256), { code: "NOT_FOUND" })
  assert.equal(await bench.store.size(sent.upload.sha256), null)
})

test("a blob larger than one copy takes is copied in parts", { skip }, async (t) => {
  const bench = await between(t, { copyLimit: 6 * mib })
  const sent = parcel(20 * mib)
  await send(bench, sent)
  bench.proxy.fault("PUT", /blobs\/.*partNumber=2/, { kind: "answer", status: 200, body: errorXml("InternalError") })
  await assert.rejects(bench.store.complete(sent.upload.sha256), { code: "UNAVAILABLE" })
  bench.proxy.heal()
  assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
  assert.ok(bench.proxy.seen.some((line) => /PUT .*blobs.*partNumber=4/.test(line)))
  assert.deepEqual(await read(bench.store, sent.upload.sha256), sent.bytes)
  assert.equal(await bench.store.expire(Date.now() + 60_000), 0)
})

test(
  "a frozen disk and a gateway that is gone: UNAVAILABLE in time, and all goes on afterwards",
  { skip },
  async (t) => {
    const config = await freshBucket(server())
    const bench = openOn(t, config, { timeouts })
    const sent = parcel(9 * mib)
    await send(bench, sent)
    server().freezeDisk()
    try {
      await assert.rejects(bench.store.complete(sent.upload.sha256), { code: "UNAVAILABLE" })
      await assert.rejects(bench.store.reach(), { code: "UNAVAILABLE" })
    } finally {
      server().thawDisk()
    }
    await server().killGateway()
    await assert.rejects(bench.store.complete(sent.upload.sha256), { code: "UNAVAILABLE" })
    await assert.rejects(bench.store.size(sent.upload.sha256), { code: "UNAVAILABLE" })
    await server().startGateway()
    await bench.store.reach()
    assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
    assert.deepEqual(await read(bench.store, sent.upload.sha256), sent.bytes)
  },
)

test("credentials that are taken away: UNAVAILABLE, grants and links of them are dead", { skip }, async (t) => {
  const bench = openOn(t, await freshBucket(server()), { timeouts })
  const [sent, other] = [parcel(1000), parcel(1000)]
  await send(bench, sent)
  await bench.store.complete(sent.upload.sha256)
  const [grant] = (await bench.store.declare(other.upload, most)) as [Grant]
  const link = await bench.store.link(sent.upload.sha256)
  await server().revoke()
  t.after(() => server().restore())
  await eventually(async () => assert.equal((await fetch(link)).status, 403))
  await assert.rejects(bench.put(grant, other.bytes), /^Error: 403/)
  await assert.rejects(bench.store.size(sent.upload.sha256), { code: "UNAVAILABLE" })
  await assert.rejects(bench.store.complete(other.upload.sha256), { code: "UNAVAILABLE" })
  await assert.rejects(bench.store.reach(), { code: "UNAVAILABLE", message: /InvalidAccessKeyId/ })
})

test(
  "half a multipart upload that was left behind expires, part by part and listing by listing",
  { skip },
  async (t) => {
    const bench = openOn(t, await freshBucket(server()))
    const left = Array.from({ length: 3 }, () => parcel(9 * mib))
    for (const each of left) {
      const [grant] = (await bench.store.declare(each.upload, most)) as [Grant]
      await bench.put(grant, each.part(1))
    }
    assert.equal(await bench.store.expire(Date.now() - 60_000), 0)
    assert.equal(await bench.store.expire(Date.now() + 60_000), 3)
    assert.equal(await bench.store.expire(Date.now() + 60_000), 0)
  },
)

/** The gateway keeps accounts for a moment. */
async function eventually(check: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await check()
    } catch (error) {
      if (tries === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}
