/** What a model of many small files costs at the bucket: requests are what it waits for. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"

import { FaultProxy } from "../support/fault-proxy.ts"
import { openShop, publishFiles } from "../support/published.ts"
import { forThisFile, freshBucket, skip } from "./support.ts"

const server = forThisFile()
const count = 40

test("a file of one part takes eleven requests, and no more", { skip }, async (t) => {
  const bucket = await freshBucket(server())
  const proxy = await FaultProxy.start(t, bucket.endpoint)
  const shop = await openShop(t, { store: { ...bucket, endpoint: proxy.url } })
  await publishFiles(shop, { "first.bin": randomBytes(10) })
  const before = proxy.seen.length
  const files = Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i}.bin`, randomBytes(1000)]))
  await publishFiles(shop, files, { version: "1.0.1" })
  const ofBlobs = proxy.seen.slice(before).filter((line) => /\/[0-9a-f]{64}/.test(line) && !line.includes("list-type"))
  const ofMethod = (method: string): number => ofBlobs.filter((line) => line.startsWith(`${method} `)).length
  assert.equal(ofMethod("PUT"), 2 * count)
  assert.equal(ofMethod("POST"), 2 * count)
  assert.equal(ofMethod("GET"), 2 * count)
  assert.equal(ofMethod("DELETE"), count)
  // What was assembled, what was copied; when the client asks whether all is there, and at the publish.
  assert.ok(ofMethod("HEAD") <= 4 * count + 2, `${ofMethod("HEAD")} looks`)
})
