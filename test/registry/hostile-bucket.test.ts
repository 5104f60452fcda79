/** A store over S3 before servers that answer what no bucket should: bounded, coded, and nothing is deleted for it. */
import assert from "node:assert/strict"
import { type IncomingMessage, type ServerResponse, createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { type TestContext, test } from "node:test"

import { modelHasher } from "@weighlock/manifest/node"
import { S3BlobStore, type S3StoreOptions, parseS3Place } from "@weighlock/registry/s3"

import { random, sha256 } from "./support.ts"

type Answer = (url: URL, request: IncomingMessage, response: ServerResponse) => void
const timeouts = { connect: 5000, idle: 20_000, call: 20_000, work: 20_000 }

async function open(t: TestContext, answer: Answer, options: S3StoreOptions = {}): Promise<S3BlobStore> {
  process.env["AWS_ACCESS_KEY_ID"] ??= "test"
  process.env["AWS_SECRET_ACCESS_KEY"] ??= "test"
  const server = createServer((request, response) => answer(new URL(request.url ?? "", "http://x"), request, response))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const hasher = modelHasher(2)
  const store = new S3BlobStore(parseS3Place({ store: "s3://models/prod", endpoint }), hasher, { timeouts, ...options })
  t.after(async () => {
    store.close()
    await hasher.close()
    server.closeAllConnections()
    server.close()
  })
  return store
}

const blob = `prod/blobs/sha256/aa/${"a".repeat(64)}`
const listing = (keys: readonly string[], name = "models"): string =>
  `<ListBucketResult><Name>${name}</Name><IsTruncated>false</IsTruncated>${keys
    .map(
      (key) =>
        `<Contents><Key>${key}</Key><Size>3</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>`,
    )
    .join("")}</ListBucketResult>`
const uploads = (keys: readonly string[]): string =>
  `<ListMultipartUploadsResult><Bucket>models</Bucket><IsTruncated>false</IsTruncated>${keys
    .map(
      (key) =>
        `<Upload><Key>${key}</Key><UploadId>u</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>`,
    )
    .join("")}</ListMultipartUploadsResult>`

for (const [what, keys, parts] of [
  ["a blob among what is staged", [blob], []],
  ["a blob's upload among what is staged", [], [blob]],
  ["a key outside of the prefix", ["backup/2026"], []],
] as const) {
  test(`expiry: ${what} is listed: UNAVAILABLE, and it stays`, async (t) => {
    const deleted: string[] = []
    const store = await open(t, ({ pathname, searchParams }, { method }, response) => {
      if (method === "DELETE") deleted.push(pathname)
      const asked = searchParams.get("prefix") ?? ""
      const fits = (key: string): boolean => (key === blob ? asked === "prod/staging/" : true)
      response.end(searchParams.has("uploads") ? uploads(parts.filter(fits)) : listing(keys.filter(fits)))
    })
    await assert.rejects(store.expire(Date.now()), { code: "UNAVAILABLE" })
    assert.deepEqual(deleted, [])
  })
}

test("expiry: what is below staging/ and is no upload of ours stays", async (t) => {
  const deleted: string[] = []
  const store = await open(t, ({ searchParams }, { method, url = "" }, response) => {
    if (method === "DELETE") deleted.push(url)
    const keys = searchParams.get("prefix") === "prod/staging/" ? ["prod/staging/notes.txt"] : []
    response.end(searchParams.has("uploads") ? uploads(keys) : listing(keys))
  })
  assert.equal(await store.expire(Date.now()), 0)
  assert.deepEqual(deleted, [])
})

for (const [what, body] of [
  ["nothing", ""],
  ["a page for people", "<html><body>Welcome</body></html>"],
  ["another bucket's listing", listing([], "others")],
] as const) {
  test(`a 200 with ${what} is UNAVAILABLE, never an empty bucket`, async (t) => {
    const store = await open(t, (_, __, response) => void response.end(body))
    await assert.rejects(store.reach(), { code: "UNAVAILABLE" })
    await assert.rejects(store.isEmpty(), { code: "UNAVAILABLE" })
    await assert.rejects(store.expire(Date.now()), { code: "UNAVAILABLE" })
    await assert.rejects(store.complete("a".repeat(64)), { code: "UNAVAILABLE" })
  })
}

const truncated = (document: string, next: string): string =>
  document
    .replace("<IsTruncated>false", "<IsTruncated>true")
    .replace(/<\/List\w+Result>$|<\/ListBucketResult>$/, (end) => `${next}${end}`)

test("a listing without end of what is staged of one file is given up after ten thousand", async (t) => {
  const keys = Array.from({ length: 1000 }, (_, at) => `prod/staging/${"a".repeat(64)}/${at}`)
  for (const what of ["objects", "uploads"]) {
    let asked = 0
    const store = await open(t, ({ searchParams }, _, response) => {
      const isUploads = searchParams.has("uploads")
      if (isUploads !== (what === "uploads")) return void response.end(isUploads ? uploads([]) : listing([]))
      const next = `n${asked++}`
      const document = isUploads
        ? truncated(uploads(keys), `<NextKeyMarker>${next}</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>`)
        : truncated(listing(keys), `<NextContinuationToken>${next}</NextContinuationToken>`)
      response.end(document)
    })
    await assert.rejects(store.complete("a".repeat(64)), { code: "UNAVAILABLE" })
    assert.equal(asked, 11, what)
  }
})

test("a listing whose pages lead back to one before is given up", async (t) => {
  let asked = 0
  const store = await open(t, ({ searchParams }, _, response) => {
    if (searchParams.has("uploads")) return void response.end(uploads([]))
    response.end(truncated(listing([]), `<NextContinuationToken>n${asked++ % 3}</NextContinuationToken>`))
  })
  await assert.rejects(store.expire(Date.now()), { code: "UNAVAILABLE" })
  assert.equal(asked, 4)
})

for (const status of [200, 500]) {
  test(`an answer (${status}) without end is given up, and memory stays flat`, async (t) => {
    let sent = 0
    const store = await open(t, (_, __, response) => {
      const chunk = Buffer.alloc(2 ** 20, 0x20)
      response.writeHead(status, { "content-type": "application/xml" })
      const more = (): void => {
        while (!response.destroyed && sent < 2000 && response.write(chunk)) sent += 1
      }
      response.on("drain", more)
      more()
    })
    await assert.rejects(store.isEmpty(), { code: "UNAVAILABLE" })
    assert.ok(sent < 200, `${sent} MiB were taken`)
  })
}

test("a store that is closed ends what stalls at once", async (t) => {
  const asked = Promise.withResolvers<void>()
  const never = { connect: 3_600_000, idle: 3_600_000, call: 3_600_000, work: 3_600_000 }
  const store = await open(t, () => asked.resolve(), { timeouts: never })
  const stalled = assert.rejects(store.expire(Date.now()), { code: "UNAVAILABLE" })
  await asked.promise
  store.close()
  await stalled
  await assert.rejects(store.reach(), { code: "UNAVAILABLE" })
})

test("120 proofs at once, each larger than what is read ahead, all end", { timeout: 300_000 }, async (t) => {
  const base = random(3 * 2 ** 20)
  const blobs = new Map<string, number>()
  const bytesOf = (index: number): Buffer => {
    const bytes = Buffer.from(base)
    bytes.writeUInt32BE(index)
    return bytes
  }
  for (let i = 0; i < 120; i++) blobs.set(sha256(bytesOf(i)), i)
  const store = await open(t, ({ pathname, searchParams }, { method, headers }, response) => {
    const index = blobs.get(pathname.slice(-64))
    if (index === undefined) return void response.end(searchParams.has("uploads") ? uploads([]) : listing([]))
    response.setHeader("etag", '"x"')
    if (method === "HEAD") return void response.setHeader("content-length", base.length).end()
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(headers.range ?? "") ?? []
    const body = bytesOf(index).subarray(Number(from), Number(to) + 1)
    const range = `bytes ${from}-${to}/${base.length}`
    response.writeHead(206, { "content-range": range, "content-length": body.length }).end(body)
  })
  const proven = await Promise.all([...blobs.keys()].map((digest) => store.complete(digest)))
  assert.deepEqual(
    proven.map((facts) => facts.sha256),
    [...blobs.keys()],
  )
})

test("a body that trickles is given up, though it never stops", async (t) => {
  const size = 3 * 2 ** 20
  const store = await open(
    t,
    ({ searchParams }, { method, headers }, response) => {
      if (searchParams.has("prefix")) return void response.end(searchParams.has("uploads") ? uploads([]) : listing([]))
      response.setHeader("etag", '"x"')
      if (method === "HEAD") return void response.setHeader("content-length", size).end()
      const from = Number(/bytes=(\d+)-/.exec(headers.range ?? "")?.[1])
      response.writeHead(206, { "content-range": `bytes ${from}-${size - 1}/${size}`, "content-length": size - from })
      const drip = setInterval(() => response.write("x"), 50)
      response.on("close", () => clearInterval(drip))
    },
    { timeouts: { ...timeouts, call: 1000 } },
  )
  await assert.rejects(store.complete("a".repeat(64)), { code: "UNAVAILABLE", message: /too few bytes/ })
})
