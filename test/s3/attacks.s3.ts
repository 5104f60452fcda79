/** What a client with grants, or another registry, tries on a real store: nothing of it reaches others' bytes or readers. */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { test, type TestContext } from "node:test"

import { fetchModel } from "@weighlock/client"
import { modelHasher } from "@weighlock/manifest/node"
import { startRegistry } from "@weighlock/registry"
import { S3BlobStore, type S3Config, parseS3Place, signHeaders } from "@weighlock/registry/s3"

import { most, parcel, read, send } from "../contract/blob-store.ts"
import { makeWorld, sha256 } from "../registry/support.ts"
import { publishFiles, openShop, reference } from "../support/published.ts"
import { codeOf } from "../support/temp.ts"
import { forThisFile, freshBucket, openOn, putGranted, skip } from "./support.ts"

const server = forThisFile()

/** With the registry's own key: what only the bucket's owner can do. */
async function signed(method: string, path: string, body: Uint8Array = new Uint8Array(), more = {}): Promise<Response> {
  const url = new URL(path, server().endpoint)
  const signing = { credentials: server().account, region: "us-east-1", at: new Date() }
  const headers = signHeaders(method, url, sha256(body), signing, { extra: more })
  return await fetch(url, { method, headers, ...(body.length > 0 && { body: body as Uint8Array<ArrayBuffer> }) })
}

const pathOf = (config: S3Config, key: string): string => `/${config.store.slice("s3://".length)}/${key}`
const blobPath = (config: S3Config, digest: string): string =>
  pathOf(config, `blobs/sha256/${digest.slice(0, 2)}/${digest}`)

test("no grant can be turned into a copy of another object", { skip }, async (t) => {
  const { store, config } = openOn(t, await freshBucket(server()))
  const secret = randomBytes(1000)
  assert.equal((await signed("PUT", pathOf(config, "secret"), secret)).status, 200)
  assert.deepEqual(await store.declare(parcel(0).upload, most), [])
  const empty = parcel(0).upload.sha256
  assert.equal(await codeOf(() => store.declare({ sha256: empty, size: 1000 }, most)), "DIGEST_MISMATCH")
  for (const sent of [parcel(1000), parcel(9_000_000)]) {
    for (const grant of await store.declare(sent.upload, most)) {
      for (const bytes of [new Uint8Array(), sent.part(grant.part)]) {
        const headers = { ...grant.headers, "x-amz-copy-source": pathOf(config, "secret"), "x-amz-acl": "public-read" }
        await putGranted({ ...grant, headers }, bytes).catch(() => undefined)
      }
    }
    await send({ store, put: putGranted }, sent)
    await store.complete(sent.upload.sha256)
    assert.deepEqual(await read(store, sent.upload.sha256), sent.bytes)
  }
})

const unsigned = {
  "content-type": "text/html",
  "content-encoding": "gzip",
  "content-disposition": "inline",
  "x-amz-acl": "public-read",
  "x-amz-meta-evil": "1",
  "x-amz-tagging": "a=b",
  "x-amz-website-redirect-location": "https://evil.example/",
}
for (const size of [1000, 9_000_000]) {
  test(`headers that were not signed leave nothing on a blob of ${size} bytes`, { skip }, async (t) => {
    const bench = openOn(t, await freshBucket(server()))
    const sent = parcel(size)
    for (const grant of await bench.store.declare(sent.upload, most))
      await putGranted({ ...grant, headers: { ...grant.headers, ...unsigned } }, sent.part(grant.part)).catch(
        () => undefined,
      )
    await send(bench, sent)
    await bench.store.complete(sent.upload.sha256)
    const { headers } = await fetch(await bench.store.link(sent.upload.sha256))
    assert.equal(headers.get("content-type"), "application/octet-stream")
    for (const name of Object.keys(unsigned).slice(1)) assert.equal(headers.get(name), null, name)
    assert.equal(headers.get("x-amz-tagging-count"), null)
    const anonymous = await fetch(new URL(blobPath(bench.config, sent.upload.sha256), server().endpoint))
    assert.equal(anonymous.status, 403)
  })
}

test("a key of an attacker's own keeps no honest uploader out", { skip }, async (t) => {
  const bench = openOn(t, await freshBucket(server()))
  const sent = parcel(1000)
  const key = randomBytes(32)
  const customer = {
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-server-side-encryption-customer-key": key.toString("base64"),
    "x-amz-server-side-encryption-customer-key-md5": createHash("md5").update(key).digest("base64"),
  }
  const [grant] = await bench.store.declare(sent.upload, most)
  assert.ok(grant)
  await putGranted({ ...grant, headers: { ...grant.headers, ...customer } }, sent.bytes).catch(() => undefined)
  await send(bench, sent)
  assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
  // An object in the way, too, as whoever may write to the bucket can leave it.
  const staged = new URL(grant.url).pathname
  assert.equal((await signed("PUT", staged, sent.bytes, customer)).status, 200)
  await send(bench, sent)
  assert.deepEqual(await bench.store.complete(sent.upload.sha256), sent.upload)
  assert.deepEqual(await read(bench.store, sent.upload.sha256), sent.bytes)
})

async function serve(
  t: TestContext,
  world: { folder: string; trust: string },
  store?: S3Config,
): Promise<() => Promise<void>> {
  const data = join(world.folder, "data")
  const { close } = await startRegistry({ data, trust: world.trust, logLevel: "silent", ...(store && { store }) })
  t.after(close)
  return close
}

test("a prefix belongs to one data folder, whatever that was served with before", { skip }, async (t) => {
  const config = await freshBucket(server())
  const shop = await openShop(t, { store: config })
  await publishFiles(shop, { "one.bin": randomBytes(100) })
  const other = await makeWorld(t)
  await assert.rejects(serve(t, other, config), { code: "USAGE", message: /another registry/ })
  await (
    await serve(t, other)
  )()
  await assert.rejects(serve(t, other, config), { code: "USAGE", message: /another registry/ })
})

test(
  "an empty prefix is marked, and a mark that was altered, or is of another server, refused",
  { skip },
  async (t) => {
    const config = await freshBucket(server())
    const [first, second] = [await makeWorld(t), await makeWorld(t)]
    await (
      await serve(t, first, config)
    )()
    await assert.rejects(serve(t, second, config), { code: "USAGE" })
    await (
      await serve(t, first, config)
    )()
    const mark = await (await signed("GET", pathOf(config, "registry"))).text()
    assert.match(mark, /^weighlock registry [0-9a-f]{32}\n$/)
    for (const altered of ["weighlock registry 4f1c0d4c9a0b4e6f8a2f6f0e1d2c3b4a\n", "", "x".repeat(52)]) {
      await signed("PUT", pathOf(config, "registry"), Buffer.from(altered))
      await assert.rejects(serve(t, first, config), { code: "USAGE" })
    }
    await signed("PUT", pathOf(config, "registry"), Buffer.from(mark))
    writeFileSync(join(first.folder, "data", "blob-store"), "")
    await assert.rejects(serve(t, first, config), { code: "STORE_FAILED" })
  },
)

test("of two that claim an empty prefix at once one has it", { skip }, async (t) => {
  const place = parseS3Place(await freshBucket(server()))
  const hasher = modelHasher(1)
  t.after(() => hasher.close())
  const marks = Array.from({ length: 8 }, () => randomBytes(16).toString("hex"))
  const owners = await Promise.all(
    marks.map(async (mark) => {
      const store = new S3BlobStore(place, hasher)
      t.after(() => store.close())
      return await store.claim(mark)
    }),
  )
  assert.equal(new Set(owners).size, 1)
})

test(
  "an object that is gone is another model; a bucket that is gone is the operator's to mend",
  { skip },
  async (t) => {
    const config = await freshBucket(server())
    const shop = await openShop(t, { store: config })
    await publishFiles(shop, { "one.bin": randomBytes(100) })
    const bucket = pathOf(config, "").replace("/prod/", "")
    const listed = await (await signed("GET", `${bucket}?list-type=2`)).text()
    const keys = [...listed.matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key = ""]) => key)
    for (const key of keys) assert.equal((await signed("DELETE", `${bucket}/${key}`)).status, 204)
    assert.equal(await codeOf(() => fetchModel(reference, shop.options)), "DIGEST_MISMATCH")
    assert.equal((await signed("DELETE", bucket)).status, 204)
    await assert.rejects(fetchModel(reference, shop.options), { code: "UNAVAILABLE", message: /NoSuchBucket/ })
  },
)

test("a bucket that was emptied is not taken for a new one", { skip }, async (t) => {
  const [config, emptied] = [await freshBucket(server()), await freshBucket(server())]
  const shop = await openShop(t, { store: config })
  await publishFiles(shop, { "one.bin": randomBytes(100) })
  await shop.peer.close()
  const data = join(shop.peer.world.folder, "data")
  const record = `${emptied.store}\n${"0".repeat(32)}\n`
  writeFileSync(join(data, "blob-store"), record)
  await assert.rejects(serve(t, shop.peer.world, emptied), { code: "USAGE", message: /is empty/ })
})
