/** A client between a registry and a bucket that fails it: it asks again where that helps, and takes nothing that is not what was signed. */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { test, type TestContext } from "node:test"

import { pullModel } from "@weighlock/client"
import type { RegistryConfig } from "@weighlock/registry"

import { type Fault, FaultProxy, errorXml } from "../support/fault-proxy.ts"
import { type Shop, openShop, publishFiles, reference, smallFiles } from "../support/published.ts"
import { codeOf } from "../support/temp.ts"
import { forThisFile, freshBucket, skip } from "./support.ts"

const server = forThisFile()
const storeTimeouts = { connect: 2000, idle: 4000, call: 8000, work: 15_000 }
type OpenShop = Omit<Shop, "files"> & { readonly proxy: FaultProxy }

/** Clients reach the bucket through the proxy; the registry does not. */
async function open(t: TestContext, config: Partial<RegistryConfig> = {}): Promise<OpenShop> {
  const bucket = await freshBucket(server())
  const proxy = await FaultProxy.start(t, bucket.endpoint)
  const shop = await openShop(t, { store: { ...bucket, publicEndpoint: proxy.url }, storeTimeouts, ...config })
  return { ...shop, proxy }
}

/** Two parts, and some that have none. */
const modelFiles = (): Record<string, Buffer> & { "weights/big.bin": Buffer } => ({
  ...smallFiles(),
  "weights/big.bin": randomBytes(9 * 2 ** 20),
})
const digestOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex")

async function pullInto(shop: OpenShop, name: string): Promise<void> {
  const cache = `${shop.options.cache}-${name}`
  await pullModel(reference, `${shop.folder}/${name}`, { ...shop.options, cache })
}

const passing: readonly [string, Fault][] = [
  ["a grant has expired", { kind: "answer", status: 403, body: errorXml("RequestTimeTooSkewed") }],
  ["a session has expired", { kind: "answer", status: 400, body: errorXml("ExpiredToken") }],
  ["the store is overloaded", { kind: "answer", status: 503, body: errorXml("SlowDown") }],
  ["the store is tired of waiting", { kind: "answer", status: 400, body: errorXml("RequestTimeout") }],
  ["an error without a word", { kind: "answer", status: 500, body: "" }],
  ["the connection is reset", { kind: "reset" }],
  ["the answer is lost", { kind: "lost answer" }],
  [
    "the answer is an error, with status 200, and nothing is kept",
    { kind: "answer", status: 200, body: errorXml("InternalError") },
  ],
]
for (const [name, fault] of passing) {
  test(`publish: ${name}, twice: sent again`, { skip }, async (t) => {
    const shop = await open(t)
    shop.proxy.fault("PUT", /staging/, fault, 2)
    await publishFiles(shop, modelFiles())
    assert.equal(shop.proxy.faults, 2)
    await pullInto(shop, "out")
  })
}

test("publish: bytes that change on their way are refused by the store, and said to be", { skip }, async (t) => {
  const shop = await open(t)
  shop.proxy.fault("PUT", /staging/, { kind: "flip request", at: 5 })
  assert.equal(await codeOf(() => publishFiles(shop, modelFiles())), "DIGEST_MISMATCH")
  shop.proxy.heal()
  await publishFiles(shop, modelFiles())
})

test("publish: a store that refuses every grant, and one that is gone, are UNAVAILABLE", { skip }, async (t) => {
  const shop = await open(t)
  shop.proxy.fault("PUT", /staging/, { kind: "answer", status: 403, body: errorXml("AccessDenied") })
  assert.equal(await codeOf(() => publishFiles(shop, { "one.bin": Buffer.alloc(100, 1) })), "UNAVAILABLE")
  shop.proxy.heal()
  shop.proxy.fault("PUT", /staging/, { kind: "reset" })
  assert.equal(await codeOf(() => publishFiles(shop, { "one.bin": Buffer.alloc(100, 1) })), "UNAVAILABLE")
})

test("publish: grants that are over before their turn comes are asked for again", { skip }, async (t) => {
  const shop = await open(t, { grantLifeSeconds: 2 })
  shop.proxy.fault("PUT", /staging/, { kind: "delay", ms: 2500 }, 5)
  await publishFiles(shop, modelFiles())
  assert.equal(shop.proxy.faults, 5)
})

const readable: readonly [string, Fault][] = [
  ["is cut", { kind: "cut", after: 5000 }],
  ["is answered with 503", { kind: "answer", status: 503, body: errorXml("SlowDown") }],
  ["is reset", { kind: "reset" }],
]
for (const [name, fault] of readable) {
  test(`pull: a body ${name}, once: fetched again`, { skip }, async (t) => {
    const shop = await open(t)
    const files = modelFiles()
    await publishFiles(shop, files)
    shop.proxy.fault("GET", new RegExp(digestOf(files["weights/big.bin"])), fault, 1)
    await pullInto(shop, "out")
    assert.equal(shop.proxy.faults, 1)
  })
}

const wrong: readonly [string, Fault, readonly string[]][] = [
  ["has another bit", { kind: "flip answer", at: 500 }, ["DIGEST_MISMATCH"]],
  ["is shorter", { kind: "short", after: 500 }, ["DIGEST_MISMATCH", "UNAVAILABLE"]],
  ["is of another range", { kind: "other range" }, ["DIGEST_MISMATCH", "PROTOCOL"]],
  ["ignores the range", { kind: "ignored range" }, ["PROTOCOL"]],
  ["is an error with status 206", { kind: "other answer", status: 206, body: errorXml("InternalError") }, ["PROTOCOL"]],
  ["is a redirect", { kind: "answer", status: 307, body: "" }, ["PROTOCOL"]],
  ["is refused", { kind: "answer", status: 403, body: errorXml("AccessDenied") }, ["UNAVAILABLE"]],
  ["is absent", { kind: "answer", status: 404, body: errorXml("NoSuchKey") }, ["DIGEST_MISMATCH"]],
]
for (const [name, fault, codes] of wrong) {
  test(`pull: a body ${name}, always: refused, and right as soon as the store is`, { skip }, async (t) => {
    const shop = await open(t)
    const files = modelFiles()
    await publishFiles(shop, files)
    shop.proxy.fault("GET", new RegExp(digestOf(files["weights/big.bin"])), fault)
    const found = await codeOf(() => pullInto(shop, "out"))
    assert.ok(codes.includes(found), found)
    shop.proxy.heal()
    await pullInto(shop, "again")
  })
}

test("a registry whose bucket is gone is alive, and not ready, and ready again", { skip }, async (t) => {
  const bucket = await freshBucket(server())
  const proxy = await FaultProxy.start(t, bucket.endpoint)
  const shop = await openShop(t, { store: { ...bucket, endpoint: proxy.url }, storeTimeouts })
  const status = async (path: string): Promise<number> => (await shop.peer.call("GET", path)).status
  assert.equal(await status("/readyz"), 200)
  for (const method of ["GET", "HEAD", "PUT", "POST"]) proxy.fault(method, /./, { kind: "reset" })
  await until(async () => (await status("/readyz")) === 503)
  assert.equal(await status("/healthz"), 200)
  assert.equal(await codeOf(() => publishFiles(shop, { "one.bin": Buffer.alloc(100, 1) })), "UNAVAILABLE")
  proxy.heal()
  await until(async () => (await status("/readyz")) === 200)
  await publishFiles(shop, { "one.bin": Buffer.alloc(100, 1) })
})

test("a registry whose bucket stalls in the middle of the expiry stops at once", { skip }, async (t) => {
  const bucket = await freshBucket(server())
  const proxy = await FaultProxy.start(t, bucket.endpoint)
  proxy.fault("GET", /prefix=[^&]*staging/, { kind: "stall" })
  const never = { connect: 3_600_000, idle: 3_600_000, call: 3_600_000, work: 3_600_000 }
  const { peer } = await openShop(t, { store: { ...bucket, endpoint: proxy.url }, storeTimeouts: never })
  await until(async () => proxy.faults > 0)
  await peer.close()
})

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries++) {
    assert.ok(tries < 900)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
