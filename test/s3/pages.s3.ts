/** Listings that take more than one page: 1,000 is all that S3 gives at once. */
import assert from "node:assert/strict"
import { test } from "node:test"

import type { Grant, Upload } from "@weighlock/registry"
import { signHeaders } from "@weighlock/registry/s3"

import { most, parcel } from "../contract/blob-store.ts"
import { forThisFile, freshBucket, openOn, putGranted, skip } from "./support.ts"

const server = forThisFile()
const mib = 2 ** 20

async function together(count: number, width: number, work: (index: number) => Promise<void>): Promise<void> {
  const indexes = Array.from({ length: count }, (_, index) => index).values()
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const index of indexes) await work(index)
    }),
  )
}

test("1,010 uploads of one part and 1,010 of several that were left behind expire", { skip }, async (t) => {
  const { store } = openOn(t, await freshBucket(server()))
  await together(1010, 32, async () => {
    const { bytes, upload } = parcel(10)
    const [grant] = (await store.declare(upload, most)) as [Grant]
    await putGranted(grant, bytes)
  })
  const { upload } = parcel(9 * mib)
  await together(1010, 32, async (index) => {
    const sha256 = index.toString(16).padStart(64, "0")
    assert.equal((await store.declare({ ...upload, sha256 }, 1)).length, 1)
  })
  assert.equal(await store.expire(Date.now() - 600_000), 0)
  assert.equal(await store.expire(Date.now() + 600_000), 2020)
  assert.equal(await store.expire(Date.now() + 600_000), 0)
})

test("1,010 parts: one on the second page is not asked for again, those of a wrong size are", { skip }, async (t) => {
  const { store } = openOn(t, await freshBucket(server()))
  const part = parcel(8 * mib)
  const count = 1010
  const upload: Upload = {
    sha256: "f".repeat(64),
    size: count * 8 * mib,
    parts: { size: 8 * mib, digests: Array.from({ length: count }, () => part.upload.sha256) },
  }
  const grants = await store.declare(upload, count)
  assert.equal(grants.length, count)
  const one = parcel(1)
  // A grant signs the length, too: only the registry's own key can send such a part.
  await assert.rejects(putGranted(grants[0] as Grant, one.bytes), /^Error: 40[03]/)
  await together(count, 32, async (index) => {
    const url = new URL(grants[index]?.url ?? "")
    const signing = { credentials: server().account, region: "us-east-1", at: new Date() }
    const headers = signHeaders("PUT", url, one.upload.sha256, signing)
    await putGranted({ part: index + 1, method: "PUT", url: url.href, headers }, one.bytes)
  })
  await putGranted(grants[1004] as Grant, part.bytes)
  const left = (await store.declare(upload, count)).map((grant) => grant.part)
  assert.deepEqual([left.length, left.includes(1005)], [count - 1, false])
  await assert.rejects(store.complete(upload.sha256), { code: "CONFLICT" })
})
