/** What every blob store promises (packages/registry/src/store/blobs.ts), as tests that run on each of them. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"

import { type BlobStore, type ByteRange, type Grant, type Upload } from "@weighlock/registry"

import { describe, random } from "../registry/support.ts"

/** A store, and how bytes get to it with a grant. */
export interface Bench {
  readonly store: BlobStore
  /** Rejects when the bytes are refused. */
  put(grant: Grant, bytes: Uint8Array): Promise<void>
}
export type OpenBench = (t: TestContext, options?: { readonly grantLifeSeconds?: number }) => Promise<Bench>

export interface Parcel {
  readonly bytes: Buffer
  readonly upload: Upload
  part(number: number): Uint8Array
}

const mib = 2 ** 20
export const most = 256
const absent = "0".repeat(64)

export function parcel(size: number): Parcel {
  const bytes = random(size)
  const { resource, part } = describe(bytes)
  const upload = { sha256: resource.digest, size, ...(resource.parts && { parts: resource.parts }) }
  return { bytes, upload, part }
}

export const flipped = (bytes: Uint8Array, at = 7): Buffer => {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

export async function read(store: BlobStore, digest: string, range?: ByteRange): Promise<Buffer | null> {
  const body = await store.read(digest, range)
  if (body === null) return null
  const blocks: Buffer[] = []
  for await (const block of body) blocks.push(Buffer.from(block))
  return Buffer.concat(blocks)
}

/** Sends what is missing. */
export async function send({ store, put }: Bench, { upload, part }: Parcel): Promise<void> {
  for (const grant of await store.declare(upload, most)) await put(grant, part(grant.part))
}

async function grantsOf({ store }: Bench, { upload }: Parcel): Promise<[Grant, Grant, ...Grant[]]> {
  return (await store.declare(upload, most)) as [Grant, Grant, ...Grant[]]
}

const missing = async ({ store }: Bench, { upload }: Parcel): Promise<readonly number[]> =>
  (await store.declare(upload, most)).map(({ part }) => part)

export function blobStoreContract(name: string, open: OpenBench): void {
  const contract = (title: string, work: (bench: Bench, t: TestContext) => Promise<void>): void => {
    test(`${name}: ${title}`, async (t) => work(await open(t), t))
  }

  contract("what was never put is null", async ({ store }) => {
    assert.equal(await store.size(absent), null)
    assert.equal(await store.read(absent), null)
  })

  for (const size of [0, 1, 65_537, 8 * mib, 8 * mib + 1, 20_000_000, 45 * mib]) {
    contract(`${size} bytes come back as they were, whole and in ranges`, async (bench) => {
      const { store } = bench
      const sent = parcel(size)
      const { bytes, upload } = sent
      await send(bench, sent)
      assert.equal(await store.size(upload.sha256), null)
      assert.deepEqual(await store.complete(upload.sha256), upload)
      assert.equal(await store.size(upload.sha256), size)
      assert.deepEqual(await read(store, upload.sha256), bytes)
      if (size < 3) return
      for (const [start, end] of [
        [0, 0],
        [size - 1, size - 1],
        [1, size - 2],
      ] as const) {
        assert.deepEqual(await read(store, upload.sha256, { start, end }), bytes.subarray(start, end + 1))
      }
    })
  }

  contract("putting the same again succeeds and changes nothing", async (bench) => {
    const sent = parcel(100)
    for (let i = 0; i < 2; i++) {
      await send(bench, sent)
      assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
    }
    assert.deepEqual(await read(bench.store, sent.upload.sha256), sent.bytes)
  })

  contract("asking again grants what is still missing; nothing is readable before it is complete", async (bench) => {
    const sent = parcel(9_000_000)
    const { store, put } = bench
    const { sha256: digest } = sent.upload
    const [first, second] = await grantsOf(bench, sent)
    assert.deepEqual([first.part, second.part], [1, 2])
    assert.equal((await store.declare(sent.upload, 1)).length, 1)
    await put(first, sent.part(1))
    assert.equal(await store.size(digest), null)
    await assert.rejects(store.complete(digest), { code: "CONFLICT" })
    assert.deepEqual(await missing(bench, sent), [2])
    await put(second, sent.part(2))
    assert.deepEqual(await missing(bench, sent), [])
    assert.deepEqual(await store.complete(digest), sent.upload)
  })

  contract("parts arrive in any order and at once", async (bench) => {
    const sent = parcel(30_000_000)
    const grants = (await grantsOf(bench, sent)).toReversed()
    await Promise.all(grants.map((grant) => bench.put(grant, sent.part(grant.part))))
    await bench.store.complete(sent.upload.sha256)
    assert.deepEqual(await read(bench.store, sent.upload.sha256), sent.bytes)
  })

  contract(
    "a grant is for exactly its bytes: short, long and other ones are refused and leave nothing",
    async (bench) => {
      const [large, small, one] = [parcel(9_000_000), parcel(1000), parcel(0)]
      const [first, second] = await grantsOf(bench, large)
      const [only] = await grantsOf(bench, small)
      const none = await bench.store.declare(one.upload, most) // a store may need nothing of nobody
      const cases: [Grant, Uint8Array][] = [
        [first, flipped(large.part(1))],
        [first, flipped(large.part(1), 8 * mib - 1)],
        [first, large.part(1).subarray(1)],
        [first, large.part(1).subarray(0, -1)],
        [first, Buffer.alloc(0)],
        [first, Buffer.concat([large.part(1), random(1)])],
        [first, large.part(2)],
        [second, Buffer.concat([large.part(2), Buffer.alloc(7 * mib)])],
        [only, flipped(small.bytes)],
        [only, Buffer.concat([small.bytes, small.bytes])],
        [only, Buffer.alloc(0)],
        ...none.map((grant): [Grant, Uint8Array] => [grant, random(1)]),
      ]
      for (const [index, [grant, bytes]] of cases.entries())
        await assert.rejects(bench.put(grant, bytes), `case ${index}`)
      assert.deepEqual(await missing(bench, large), [1, 2])
      assert.deepEqual(await missing(bench, small), [1])
      await assert.rejects(bench.store.complete(large.upload.sha256), { code: "CONFLICT" })
      await assert.rejects(bench.store.complete(small.upload.sha256), { code: "NOT_FOUND" })
    },
  )

  contract("other bytes for a part are refused also when it is kept, and when the file is complete", async (bench) => {
    for (const sent of [parcel(1000), parcel(9_000_000)]) {
      const grants = await grantsOf(bench, sent)
      for (const grant of grants) await bench.put(grant, sent.part(grant.part))
      await assert.rejects(bench.put(grants[0], flipped(sent.part(1))))
      await bench.store.complete(sent.upload.sha256)
      await assert.rejects(bench.put(grants[0], flipped(sent.part(1))))
      assert.deepEqual(await read(bench.store, sent.upload.sha256), sent.bytes)
    }
  })

  contract("a grant is for one part of one upload", async (bench) => {
    const [large, small] = [parcel(9_000_000), parcel(1000)]
    const [first, second] = await grantsOf(bench, large)
    const [only] = await grantsOf(bench, small)
    const cases: Grant[] = [
      { ...first, headers: {} },
      { ...first, headers: second.headers },
      { ...first, headers: only.headers },
      { ...second, headers: first.headers },
      { ...only, headers: first.headers },
    ]
    for (const grant of cases) await assert.rejects(bench.put(grant, large.part(1)))
    assert.deepEqual(await missing(bench, large), [1, 2])
    await bench.put(first, large.part(1))
    assert.deepEqual(await missing(bench, large), [2])
  })

  test(`${name}: an expired grant is refused, one about to expire is not`, async (t) => {
    const sent = parcel(1000)
    const expired = await open(t, { grantLifeSeconds: -10 })
    const [late] = await grantsOf(expired, sent)
    await assert.rejects(expired.put(late, sent.bytes))
    const inTime = await open(t, { grantLifeSeconds: 60 })
    const [good] = await grantsOf(inTime, sent)
    await inTime.put(good, sent.bytes)
  })

  contract("of many writers of one part at once all are told that it is kept", async (bench) => {
    for (const size of [1000, 9_000_000]) {
      const sent = parcel(size)
      const grants = [await grantsOf(bench, sent), await grantsOf(bench, sent)].flat()
      await Promise.all(grants.map((grant) => bench.put(grant, sent.part(grant.part))))
      await bench.store.complete(sent.upload.sha256)
      assert.deepEqual(await read(bench.store, sent.upload.sha256), sent.bytes)
    }
  })

  contract("two uploaders, who declare and complete at once, are both told that it is there", async (bench) => {
    for (const size of [1000, 20_000_000]) {
      const sent = parcel(size)
      const upload = async (): Promise<Upload> => {
        await send(bench, sent)
        return await bench.store.complete(sent.upload.sha256)
      }
      const asked = await Promise.all([grantsOf(bench, sent), grantsOf(bench, sent)])
      assert.deepEqual(
        asked[0].map(({ part }) => part),
        asked[1].map(({ part }) => part),
      )
      assert.deepEqual(await upload(), sent.upload)
      const { sha256: digest } = sent.upload
      assert.deepEqual(await Promise.all([bench.store.complete(digest), bench.store.complete(digest)]), [
        sent.upload,
        sent.upload,
      ])
      assert.deepEqual(await read(bench.store, digest), sent.bytes)
    }
  })

  contract("completing twice at once is completing once", async (bench) => {
    const sent = parcel(20_000_000)
    await send(bench, sent)
    const { sha256: digest } = sent.upload
    const outcomes = await Promise.allSettled([bench.store.complete(digest), bench.store.complete(digest)])
    assert.ok(outcomes.some(({ status }) => status === "fulfilled"))
    assert.deepEqual(await bench.store.complete(digest), sent.upload)
    assert.deepEqual(await read(bench.store, digest), sent.bytes)
  })

  contract("what was never declared can't be completed", async ({ store }) => {
    await assert.rejects(store.complete(absent), { code: "NOT_FOUND" })
  })

  contract("parts that are true and a whole that is a lie: thrown away", async (bench) => {
    const { upload, part } = parcel(9_000_000)
    const lie = { ...upload, sha256: absent }
    for (const grant of await bench.store.declare(lie, most)) await bench.put(grant, part(grant.part))
    await assert.rejects(bench.store.complete(absent), { code: "DIGEST_MISMATCH" })
    assert.equal(await bench.store.size(absent), null)
    await assert.rejects(bench.store.complete(absent), { code: "NOT_FOUND" })
  })

  contract("a whole that is true and parts of another file: thrown away", async (bench) => {
    const [sent, other] = [parcel(9_000_000), parcel(9_000_000)]
    const lie = { ...other.upload, sha256: sent.upload.sha256 }
    for (const grant of await bench.store.declare(lie, most)) await bench.put(grant, other.part(grant.part))
    await assert.rejects(bench.store.complete(sent.upload.sha256), { code: "DIGEST_MISMATCH" })
    assert.equal(await bench.store.size(sent.upload.sha256), null)
  })

  contract("a size that is a lie is never present", async (bench) => {
    const sent = parcel(1000)
    const lie = { sha256: sent.upload.sha256, size: 999 }
    const [grant] = await bench.store.declare(lie, most)
    await bench.put(grant as Grant, sent.bytes).catch(() => undefined) // who finds out depends on the store
    await assert.rejects(bench.store.complete(lie.sha256))
    assert.equal(await bench.store.size(lie.sha256), null)
  })

  contract(
    "bytes that are said to have the digest of none, and none with another digest: never present",
    async (bench) => {
      const empty = parcel(0).upload.sha256
      const { upload } = parcel(9_000_000)
      const lies: Upload[] = [
        { sha256: empty, size: 30 },
        { sha256: upload.sha256, size: 0 },
        { ...upload, parts: { size: 8 * mib, digests: [empty, empty] } },
      ]
      for (const lie of lies) {
        const grants = await bench.store.declare(lie, most).catch((error: unknown) => {
          assert.equal((error as { code?: string }).code, "DIGEST_MISMATCH")
          return []
        })
        for (const grant of grants) await bench.put(grant, random(Math.min(lie.size, 30))).catch(() => undefined)
        if (lie.sha256 !== empty) await assert.rejects(bench.store.complete(lie.sha256))
        const size = await bench.store.size(lie.sha256)
        assert.ok(size === null || (lie.sha256 === empty && size === 0))
      }
    },
  )

  contract("a lie about a digest does not block the truth about it", async (bench) => {
    const [sent, other] = [parcel(9_000_000), parcel(9_000_000)]
    const lie = { ...other.upload, sha256: sent.upload.sha256 }
    for (const [upload, part] of [
      [lie, other.part],
      [sent.upload, sent.part],
    ] as const) {
      for (const grant of await bench.store.declare(upload, most)) await bench.put(grant, part(grant.part))
    }
    assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
    assert.deepEqual(await read(bench.store, sent.upload.sha256), sent.bytes)
  })

  for (const size of [1000, 9_000_000]) {
    contract(`an abandoned upload of ${size} bytes expires, a touched one does not`, async (bench) => {
      const sent = parcel(size)
      const [grant] = await grantsOf(bench, sent)
      await bench.put(grant, sent.part(1))
      assert.equal(await bench.store.expire(Date.now() - 60_000), 0)
      assert.equal(await bench.store.expire(Date.now() + 60_000), 1)
      await assert.rejects(bench.store.complete(sent.upload.sha256), { code: "NOT_FOUND" })
      assert.equal(await bench.store.expire(Date.now() + 60_000), 0)
      await send(bench, sent)
      assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
      await bench.store.expire(Date.now() + 60_000)
      assert.deepEqual(await read(bench.store, sent.upload.sha256), sent.bytes)
    })
  }

  contract("a removed blob is gone, removing what is absent succeeds", async (bench) => {
    const sent = parcel(10)
    await send(bench, sent)
    await bench.store.complete(sent.upload.sha256)
    await bench.store.remove(sent.upload.sha256)
    await bench.store.remove(sent.upload.sha256)
    assert.equal(await bench.store.size(sent.upload.sha256), null)
    assert.equal(await bench.store.read(sent.upload.sha256), null)
  })

  contract("a store that is there answers", async ({ store }) => {
    await store.reach()
  })

  for (const key of ["../../etc/passwd", "A".repeat(64), "", `${absent}/`, `${absent}\n`]) {
    contract(`a key is 64 hex characters, not ${JSON.stringify(key)}`, async ({ store }) => {
      await assert.rejects(store.size(key), { code: "USAGE" })
      await assert.rejects(store.read(key), { code: "USAGE" })
      await assert.rejects(store.declare({ sha256: key, size: 1 }, most), { code: "USAGE" })
      await assert.rejects(store.complete(key), { code: "USAGE" })
      await assert.rejects(store.remove(key), { code: "USAGE" })
    })
  }
}

export { absent }
