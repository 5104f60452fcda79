/** What every blob store promises (packages/registry/src/store/blobs.ts), as tests that run on each of them. */
import assert from "node:assert/strict"
import { Readable } from "node:stream"
import { buffer } from "node:stream/consumers"
import { type TestContext, test } from "node:test"

import { type BlobStore, type Upload, uploadId } from "@weighlock/registry"

import { describe, random, sha256 } from "./support.ts"

const absent = "0".repeat(64)
const body = (...chunks: Uint8Array[]): Readable => Readable.from(chunks, { objectMode: false })

function uploadOf(bytes: Uint8Array): { upload: Upload; part: (this: void, number: number) => Uint8Array } {
  const { resource, ...file } = describe(bytes)
  const upload = { sha256: resource.digest, size: resource.size, ...(resource.parts && { parts: resource.parts }) }
  return { upload, part: (number) => file.part(number) }
}

async function put(store: BlobStore, bytes: Uint8Array): Promise<string> {
  const { upload, part } = uploadOf(bytes)
  for (const number of await store.declare(upload)) {
    await store.writePart(upload.sha256, uploadId(upload), number, body(part(number)))
  }
  await store.complete(upload.sha256)
  return upload.sha256
}

export function blobStoreContract(name: string, open: (t: TestContext) => Promise<BlobStore>): void {
  const contract = (title: string, work: (store: BlobStore) => Promise<void>): void => {
    test(`${name}: ${title}`, async (t) => work(await open(t)))
  }

  contract("what was never put is null", async (store) => {
    assert.equal(await store.size(absent), null)
    assert.equal(await store.read(absent), null)
  })

  for (const size of [0, 1, 65_537, 8 * 2 ** 20, 8 * 2 ** 20 + 1, 20_000_000]) {
    contract(`${size} bytes come back as they were, whole and in ranges`, async (store) => {
      const bytes = random(size)
      const digest = await put(store, bytes)
      assert.equal(await store.size(digest), size)
      assert.deepEqual(await buffer((await store.read(digest)) ?? body()), bytes)
      if (size < 3) return
      const ranges = [
        { start: 0, end: 0 },
        { start: size - 1, end: size - 1 },
        { start: 1, end: size - 2 },
      ]
      for (const range of ranges) {
        assert.deepEqual(
          await buffer((await store.read(digest, range)) ?? body()),
          bytes.subarray(range.start, range.end + 1),
        )
      }
    })
  }

  contract("putting the same again succeeds and changes nothing", async (store) => {
    const bytes = random(100)
    assert.equal(await put(store, bytes), await put(store, bytes))
    assert.deepEqual(await buffer((await store.read(sha256(bytes))) ?? body()), bytes)
  })

  contract("nothing is readable before it is complete", async (store) => {
    const { upload, part } = uploadOf(random(9_000_000))
    await store.declare(upload)
    await store.writePart(upload.sha256, uploadId(upload), 1, body(part(1)))
    assert.equal(await store.size(upload.sha256), null)
    await assert.rejects(store.complete(upload.sha256), { code: "CONFLICT" })
    assert.deepEqual(await store.declare(upload), [2])
    await store.writePart(upload.sha256, uploadId(upload), 2, body(part(2)))
    assert.deepEqual(await store.complete(upload.sha256), upload)
  })

  contract("parts arrive in any order and at once", async (store) => {
    const bytes = random(30_000_000)
    const { upload, part } = uploadOf(bytes)
    const numbers = (await store.declare(upload)).toReversed()
    await Promise.all(numbers.map((n) => store.writePart(upload.sha256, uploadId(upload), n, body(part(n)))))
    await store.complete(upload.sha256)
    assert.deepEqual(await buffer((await store.read(upload.sha256)) ?? body()), bytes)
  })

  contract("a part is exactly its bytes: short, long and other ones are refused and leave nothing", async (store) => {
    const { upload, part } = uploadOf(random(9_000_000))
    await store.declare(upload)
    const flipped = Buffer.from(part(1))
    flipped[77] = (flipped[77] ?? 0) ^ 1
    const bad = [body(), body(part(1).subarray(1)), body(part(1), random(1)), body(flipped), body(part(2))]
    for (const each of bad) {
      await assert.rejects(store.writePart(upload.sha256, uploadId(upload), 1, each), { code: "DIGEST_MISMATCH" })
    }
    assert.deepEqual(await store.declare(upload), [1, 2])
  })

  contract("a part that is kept can't be spoilt by a later writer", async (store) => {
    const bytes = random(9_000_000)
    const { upload, part } = uploadOf(bytes)
    await store.declare(upload)
    for (const number of [1, 2]) await store.writePart(upload.sha256, uploadId(upload), number, body(part(number)))
    await store.writePart(upload.sha256, uploadId(upload), 1, body(random(10)))
    await store.complete(upload.sha256)
    assert.deepEqual(await buffer((await store.read(upload.sha256)) ?? body()), bytes)
  })

  contract("the newest writer of a part wins over one that stalls, and both are told so", async (store) => {
    const { upload, part } = uploadOf(random(1000))
    await store.declare(upload)
    const stalled = new Readable({ read: () => undefined })
    stalled.push(part(1).subarray(0, 500))
    const first = store.writePart(upload.sha256, uploadId(upload), 1, stalled)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await store.writePart(upload.sha256, uploadId(upload), 1, body(part(1)))
    await first
    assert.equal((await store.complete(upload.sha256)).size, 1000)
  })

  contract("of many writers of one part at once all are told that it is kept", async (store) => {
    for (const size of [1000, 9_000_000]) {
      const bytes = random(size)
      const { upload, part } = uploadOf(bytes)
      const numbers = await store.declare(upload)
      const writers = [...numbers, ...numbers, ...numbers]
      await Promise.all(writers.map((n) => store.writePart(upload.sha256, uploadId(upload), n, body(part(n)))))
      await store.complete(upload.sha256)
      await store.writePart(upload.sha256, uploadId(upload), 1, body(part(1)))
      assert.deepEqual(await buffer((await store.read(upload.sha256)) ?? body()), bytes)
    }
  })

  contract("what was never declared can't be written or completed", async (store) => {
    const { upload, part } = uploadOf(random(10))
    await assert.rejects(store.writePart(upload.sha256, uploadId(upload), 1, body(part(1))), { code: "NOT_FOUND" })
    await assert.rejects(store.complete(upload.sha256), { code: "NOT_FOUND" })
    await store.declare(upload)
    await assert.rejects(store.writePart(upload.sha256, uploadId(upload), 2, body(part(1))), { code: "NOT_FOUND" })
  })

  contract("parts that are true and a whole that is a lie: thrown away", async (store) => {
    const { upload, part } = uploadOf(random(9_000_000))
    const lie = { ...upload, sha256: absent }
    for (const number of await store.declare(lie))
      await store.writePart(absent, uploadId(lie), number, body(part(number)))
    await assert.rejects(store.complete(absent), { code: "DIGEST_MISMATCH" })
    assert.equal(await store.size(absent), null)
    await assert.rejects(store.complete(absent), { code: "NOT_FOUND" })
  })

  contract("a lie about a digest does not block the truth about it", async (store) => {
    const bytes = random(9_000_000)
    const { upload, part } = uploadOf(bytes)
    const other = uploadOf(random(9_000_000))
    const lie = { ...other.upload, sha256: upload.sha256 }
    for (const [each, of] of [
      [lie, other.part],
      [upload, part],
    ] as const) {
      for (const number of await store.declare(each)) {
        await store.writePart(each.sha256, uploadId(each), number, body(of(number)))
      }
    }
    assert.deepEqual(await store.complete(upload.sha256), upload)
    assert.deepEqual(await buffer((await store.read(upload.sha256)) ?? body()), bytes)
  })

  contract("abandoned uploads expire, touched ones do not", async (store) => {
    const { upload, part } = uploadOf(random(9_000_000))
    await store.declare(upload)
    await store.writePart(upload.sha256, uploadId(upload), 1, body(part(1)))
    assert.equal(await store.expire(Date.now() - 60_000), 0)
    assert.equal(await store.expire(Date.now() + 60_000), 1)
    await assert.rejects(store.complete(upload.sha256), { code: "NOT_FOUND" })
  })

  contract("a removed blob is gone, removing what is absent succeeds", async (store) => {
    const digest = await put(store, random(10))
    await store.remove(digest)
    await store.remove(digest)
    assert.equal(await store.size(digest), null)
  })

  for (const key of ["../../etc/passwd", "A".repeat(64), "", `${absent}/`, `${absent}\n`]) {
    contract(`a key is 64 hex characters, not ${JSON.stringify(key)}`, async (store) => {
      await assert.rejects(store.size(key))
      await assert.rejects(store.read(key))
      await assert.rejects(store.declare({ sha256: key, size: 1 }))
      await assert.rejects(store.writePart(key, absent, 1, body()))
      await assert.rejects(store.complete(key))
      await assert.rejects(store.remove(key))
    })
  }
}
