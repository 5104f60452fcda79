/** Uploads over HTTP, as attackers and bad networks do them. */
import assert from "node:assert/strict"
import { appendFile, chmod, mkdir, readdir, rename, rm, symlink, truncate } from "node:fs/promises"
import { type Socket, connect } from "node:net"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { test } from "node:test"

import {
  type GrantAnswer,
  type Peer,
  type Reply,
  describe,
  quiet,
  random,
  sha256,
  signed,
  startPeer,
} from "./support.ts"
import { isThorough, onlyThorough, sample } from "../support/thorough.ts"

const mib = 2 ** 20
const flip = (bytes: Uint8Array): Buffer => {
  const copy = Buffer.from(bytes)
  copy[0] = (copy[0] ?? 0) ^ 1
  return copy
}
const grantsOf = async (peer: Peer, bytes: Uint8Array) => (await peer.ask(describe(bytes))).json.files[0].grants
const headOf = ({ url, headers }: GrantAnswer): string => {
  const { pathname, host } = new URL(url)
  return `PUT ${pathname} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${mib}\r\nweighlock-grant: ${headers["weighlock-grant"]}\r\n\r\n`
}

/** Sends the head of a MiB and these first bytes of it, and waits until the registry is at work on them. */
async function begin(
  peer: Peer,
  grant: GrantAnswer,
  bytes: Uint8Array,
): Promise<{ socket: Socket; answered: Promise<string> }> {
  const { hostname, port } = new URL(grant.url)
  const socket = connect(Number(port), hostname).on("error", () => undefined)
  let answer = ""
  socket.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk))
  const answered = new Promise<string>((resolve) => socket.once("close", () => resolve(answer)))
  socket.write(Buffer.concat([Buffer.from(headOf(grant)), bytes]))
  const staging = join(peer.world.folder, "data", "staging")
  const isAtWork = async (): Promise<boolean> =>
    (await readdir(staging, { recursive: true, withFileTypes: true })).some((entry) => entry.isFile())
  while (!(await isAtWork())) await setTimeout(5)
  return { socket, answered }
}
const put = (peer: Peer, { url, headers }: GrantAnswer, body: Uint8Array, more = {}): Promise<Reply> =>
  peer.call("PUT", url, { body, headers: { ...headers, ...more } })
const complete = (peer: Peer, bytes: Uint8Array): Promise<Reply> =>
  peer.call("POST", `/api/v1/uploads/${sha256(bytes)}/complete`)

test("asking returns grants for what is missing, again for what is still missing, then present", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(17 * mib)
  const file = describe(bytes)
  const first = (await peer.ask(file)).json.files[0]
  assert.equal(first.state, "needed")
  assert.deepEqual(
    first.grants.map(({ part, method }) => [part, method]),
    [1, 2, 3].map((part) => [part, "PUT"]),
  )
  assert.equal((await put(peer, first.grants[1], file.part(2))).status, 204)
  assert.equal((await put(peer, first.grants[1], file.part(2))).status, 204)
  assert.deepEqual(
    (await grantsOf(peer, bytes)).map(({ part }) => part),
    [1, 3],
  )
  for (const at of [0, 2] as const) await put(peer, first.grants[at], file.part(at + 1))
  assert.deepEqual(await grantsOf(peer, bytes), [])
  assert.equal((await peer.ask(file)).json.files[0].state, "needed")
  assert.deepEqual((await complete(peer, bytes)).json, { sha256: file.sha256, state: "present" })
  assert.equal((await complete(peer, bytes)).status, 200)
  assert.deepEqual((await peer.ask(file)).json.files[0], { sha256: file.sha256, state: "present", grants: [] })
})

test("at most 256 grants a call, over all files", async (t) => {
  const peer = await startPeer(t)
  const files = Array.from({ length: 300 }, () => describe(random(20)))
  const { json } = await peer.ask(...files)
  assert.equal(json.files.flatMap(({ grants }) => grants).length, 256)
  assert.equal(json.files.filter(({ state }) => state === "needed").length, 300)
})

test("a body that is not the granted one leaves nothing", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(9 * mib)
  const file = describe(bytes)
  const [first, second] = await grantsOf(peer, bytes)
  const small = random(100)
  const [only] = await grantsOf(peer, small)
  const cases: [string, GrantAnswer, Uint8Array][] = [
    ["one bit", first, flip(file.part(1))],
    ["short", first, file.part(1).subarray(1)],
    ["empty", first, Buffer.alloc(0)],
    ["long", first, Buffer.concat([file.part(1), Buffer.alloc(1)])],
    ["the other part", first, file.part(2)],
    ["the last part padded", second, Buffer.concat([file.part(2), Buffer.alloc(7 * mib)])],
    ["small: one bit", only, flip(small)],
    ["small: long", only, Buffer.concat([small, small])],
  ]
  for (const [name, grant, body] of cases) {
    const reply = await put(peer, grant, body)
    assert.deepEqual([reply.status, reply.code], [422, "DIGEST_MISMATCH"], name)
  }
  assert.equal((await grantsOf(peer, bytes)).length, 2)
  assert.equal((await complete(peer, bytes)).code, "CONFLICT")
  assert.equal((await peer.call("GET", `/api/v1/blobs/sha256/${sha256(bytes)}`)).status, 404)
})

for (const size of sample([17 * mib, 9 * mib, 1000], 2)) {
  test(`a part of a file of ${size} bytes that is sent again: the same is fine, other bytes are refused, whatever became of the file`, async (t) => {
    const peer = await startPeer(t)
    const bytes = random(size)
    const file = describe(bytes)
    const grants = await grantsOf(peer, bytes)
    const last = grants.at(-1) as GrantAnswer
    const own = file.part(last.part)
    const others: [string, Uint8Array][] = [
      ["one bit", flip(own)],
      ["short", own.subarray(1)],
      ["empty", Buffer.alloc(0)],
      ["long", Buffer.concat([own, Buffer.alloc(1)])],
      ["much longer", Buffer.concat([own, Buffer.alloc(mib)])],
    ]
    const sendAgain = async (when: string): Promise<void> => {
      assert.equal((await put(peer, last, own)).status, 204, when)
      for (const [name, body] of others) {
        const reply = await put(peer, last, body)
        assert.deepEqual([reply.status, reply.code], [422, "DIGEST_MISMATCH"], `${name}, ${when}`)
      }
    }
    for (const grant of grants) assert.equal((await put(peer, grant, file.part(grant.part))).status, 204)
    await sendAgain("kept")
    const [completed] = await Promise.all([complete(peer, bytes), sendAgain("on its way to be present")])
    assert.equal(completed.status, 200)
    await sendAgain("present")
    await peer.publish(await signed(peer.world, [bytes]))
    await sendAgain("published")
    assert.deepEqual((await peer.call("GET", `/api/v1/blobs/sha256/${sha256(bytes)}`)).bytes, bytes)
    assert.deepEqual(await readdir(join(peer.world.folder, "data", "staging")), [])
  })
}

test("a grant is for one part of one file, in this process, for a while", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(9 * mib)
  const file = describe(bytes)
  const [first, second] = await grantsOf(peer, bytes)
  const other = random(100)
  const [others] = await grantsOf(peer, other)
  const value = first.headers["weighlock-grant"] ?? ""
  const [expiry = "", id = "", mac = ""] = value.split(".")
  const url: string = first.url
  const cases: [string, string, Record<string, string>][] = [
    ["none", url, {}],
    ["empty", url, { "weighlock-grant": "" }],
    ["of another part", url, second.headers],
    ["of another file", url, others.headers],
    ["for another file", others.url, first.headers],
    ["for another part", second.url, first.headers],
    ["with a later expiry", url, { "weighlock-grant": `${Number(expiry) + 1}.${id}.${mac}` }],
    ["with another upload id", url, { "weighlock-grant": `${expiry}.${"0".repeat(64)}.${mac}` }],
    [
      "with a changed mac",
      url,
      { "weighlock-grant": `${expiry}.${id}.${mac.startsWith("A") ? "B" : "A"}${mac.slice(1)}` },
    ],
    ["with other padding bits", url, { "weighlock-grant": value.slice(0, -1) + nextBase64(value.at(-1) ?? "") }],
    ["with more", url, { "weighlock-grant": `${value}.` }],
    ["a token instead", url, { authorization: "Bearer x" }],
  ]
  for (const [name, to, headers] of cases) {
    const reply = await peer.call("PUT", to, { body: file.part(1), headers })
    assert.deepEqual([reply.status, reply.code], [403, "FORBIDDEN"], name)
  }
  assert.equal((await put(peer, first, file.part(1))).status, 204)
})

/** The same value in sloppy base64: the last character carries two bits that mean nothing. */
function nextBase64(last: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  return alphabet[alphabet.indexOf(last) + 1] ?? ""
}

test("an expired grant is refused", async (t) => {
  const peer = await startPeer(t, { grantLifeSeconds: -1 })
  const bytes = random(10)
  const [grant] = await grantsOf(peer, bytes)
  assert.equal((await put(peer, grant, bytes)).code, "FORBIDDEN")
})

test("a grant of a former process is refused, but parts that it brought are kept", async (t) => {
  const before = await startPeer(t)
  const bytes = random(9 * mib)
  const file = describe(bytes)
  const [first] = await grantsOf(before, bytes)
  await put(before, first, file.part(1))
  await before.close()
  const after = await startPeer(t, {}, before.world)
  const again = await grantsOf(after, bytes)
  assert.deepEqual(
    again.map(({ part }) => part),
    [2],
  )
  const old = { ...first, url: first.url.replace(before.url, after.url) }
  assert.equal((await put(after, old, file.part(1))).code, "FORBIDDEN")
  await put(after, again[0], file.part(2))
  assert.equal((await complete(after, bytes)).status, 200)
})

test("true parts of a false whole: 422, staging is empty, and the truth can still be told", async (t) => {
  const peer = await startPeer(t)
  const [bytes, evil] = [random(9 * mib), random(9 * mib)]
  const lie = { ...describe(evil), request: { ...describe(evil).request, sha256: sha256(bytes) } }
  const grants = (await peer.ask(lie)).json.files[0].grants
  for (const grant of grants) assert.equal((await put(peer, grant, lie.part(grant.part))).status, 204)
  const refused = await complete(peer, bytes)
  assert.deepEqual([refused.status, refused.code], [422, "DIGEST_MISMATCH"])
  assert.deepEqual(await readdir(join(peer.world.folder, "data", "staging")), [])
  assert.equal((await peer.upload(bytes)).json.state, "present")
  assert.equal((await peer.ask(lie)).code, "DIGEST_MISMATCH")
})

test("a request of a wrong form is refused", async (t) => {
  const peer = await startPeer(t)
  const { request } = describe(random(9 * mib))
  const small = describe(random(10)).request
  const { parts = { size: 0, digests: "" }, ...whole } = request
  const cases: [string, unknown][] = [
    ["no files", { files: [] }],
    ["10,001 files", { files: Array.from({ length: 10_001 }, () => small) }],
    ["upper-case hex", { files: [{ ...small, sha256: small.sha256.toUpperCase() }] }],
    ["a short digest", { files: [{ ...small, sha256: small.sha256.slice(1) }] }],
    ["a path", { files: [{ ...small, sha256: "../".repeat(22).slice(0, 64) }] }],
    ["a negative size", { files: [{ ...small, size: -1 }] }],
    ["half a byte", { files: [{ ...small, size: 0.5 }] }],
    ["a size as text", { files: [{ ...small, size: "10" }] }],
    ["more than 2^53", { files: [{ ...small, size: 2 ** 53 }] }],
    ["an unknown member", { files: [{ ...small, path: "/etc/passwd" }] }],
    ["sloppy base64", { files: [{ ...request, parts: { ...parts, digests: `${parts.digests} ` } }] }],
    ["null parts", { files: [{ ...small, parts: null }] }],
    ["a list", [small]],
    ["null", null],
  ]
  for (const [name, body] of cases) {
    const reply = await peer.call("POST", "/api/v1/uploads", { body: JSON.stringify(body) })
    assert.equal(reply.status, 400, name)
    assert.ok(["USAGE", "MANIFEST_INVALID"].includes(reply.code ?? ""), name)
  }
  // Of the form, and yet no file: what a schema cannot say.
  const contradictions: [string, unknown][] = [
    ["the same twice", { files: [small, small] }],
    ["parts of a small file", { files: [{ ...small, parts }] }],
    ["no parts of a big one", { files: [whole] }],
    ["another part size", { files: [{ ...request, parts: { ...parts, size: 16 * mib } }] }],
    ["a part too few", { files: [{ ...request, parts: { ...parts, digests: parts.digests.slice(0, 44) } }] }],
  ]
  for (const [name, body] of contradictions) {
    const reply = await peer.call("POST", "/api/v1/uploads", { body: JSON.stringify(body) })
    assert.deepEqual([reply.status, reply.code], [409, "CONFLICT"], name)
  }
  const twice = `{"files":[{"sha256":"${small.sha256}","size":10,"size":11}]}`
  assert.equal((await peer.call("POST", "/api/v1/uploads", { body: twice })).code, "MANIFEST_INVALID")
  const proto = `{"files":[{"sha256":"${small.sha256}","size":10,"__proto__":{}}]}`
  assert.equal((await peer.call("POST", "/api/v1/uploads", { body: proto })).status, 400)
})

test("a file larger than the disk is refused before it is sent", async (t) => {
  const peer = await startPeer(t)
  const size = 2 ** 45
  const parts = { size: 2 ** 32, digests: Buffer.alloc(8192 * 32).toString("base64") }
  const body = { files: [{ sha256: "0".repeat(64), size, parts }] }
  const reply = await peer.call("POST", "/api/v1/uploads", { body })
  assert.deepEqual([reply.status, reply.code], [503, "UNAVAILABLE"])
})

test("complete: nothing under way 404, a body 400, a bad digest 400", async (t) => {
  const peer = await startPeer(t)
  const path = `/api/v1/uploads/${"0".repeat(64)}/complete`
  assert.equal((await peer.call("POST", path)).code, "NOT_FOUND")
  assert.equal((await peer.call("POST", path, { body: "{}" })).status, 413)
  assert.equal((await peer.call("POST", "/api/v1/uploads/xyz/complete")).code, "MANIFEST_INVALID")
})

test("an upload cut off in the middle can be sent again at once", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(mib)
  const [grant] = await grantsOf(peer, bytes)
  const { socket } = await begin(peer, grant, bytes.subarray(0, mib / 2))
  assert.equal((await put(peer, grant, bytes)).status, 204)
  socket.destroy()
  assert.equal((await complete(peer, bytes)).status, 200)
})

test("a body that stalls is cut off, and the registry goes on", async (t) => {
  const peer = await startPeer(t, { timeouts: { idle: 300 } })
  const bytes = random(mib)
  const [grant] = await grantsOf(peer, bytes)
  await peer.raw(`${headOf(grant)}abc`) // ends when the registry closes
  assert.equal((await peer.upload(bytes)).status, 200)
})

test("blobs: ranges, conditions, HEAD", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(1000)
  const path = `/api/v1/blobs/sha256/${sha256(bytes)}`
  assert.equal((await peer.call("GET", path)).code, "NOT_FOUND")
  await peer.upload(bytes)
  const get = (headers: Record<string, string>) => peer.call("GET", path, { headers })
  const etag = `"${sha256(bytes)}"`
  const ranges: [string, number, number, number][] = [
    ["bytes=0-0", 206, 0, 1],
    ["bytes=0-999", 206, 0, 1000],
    ["bytes=10-19", 206, 10, 20],
    ["bytes=990-", 206, 990, 1000],
    ["bytes=990-5000", 206, 990, 1000],
    ["bytes=-10", 206, 990, 1000],
    ["bytes=-5000", 206, 0, 1000],
    ["bytes=10-99999999999999999999", 206, 10, 1000],
    [`bytes=-${"9".repeat(400)}`, 206, 0, 1000],
    ["lines=1-2", 200, 0, 1000],
  ]
  for (const [range, status, start, end] of ranges) {
    const reply = await get({ range })
    assert.equal(reply.status, status, range)
    assert.deepEqual(reply.bytes, bytes.subarray(start, end), range)
    if (status === 206) assert.equal(reply.headers.get("content-range"), `bytes ${start}-${end - 1}/1000`)
  }
  const refused = [
    "bytes=1000-",
    "bytes=5-4",
    "bytes=-0",
    "bytes=-",
    "bytes=0-1,3-4",
    "bytes=a-b",
    "bytes=0x1-2",
    `bytes=${"9".repeat(99)}-`,
  ]
  for (const range of refused) {
    const reply = await get({ range })
    assert.deepEqual([reply.status, reply.code], [416, "RANGE_NOT_SATISFIABLE"], range)
    assert.equal(reply.headers.get("content-range"), "bytes */1000")
  }
  assert.equal((await get({ "if-none-match": etag })).status, 304)
  assert.equal((await get({ range: "bytes=0-1", "if-range": etag })).status, 206)
  assert.equal((await get({ range: "bytes=0-1", "if-range": '"other"' })).status, 200)
  const head = await peer.call("HEAD", path)
  assert.deepEqual([head.status, head.bytes.length, head.headers.get("content-length")], [200, 0, "1000"])
  for (const bad of [
    path.toUpperCase().replace("/API/V1/BLOBS/SHA256", "/api/v1/blobs/sha256"),
    `${path}0`,
    "/api/v1/blobs/sha256/x",
  ]) {
    assert.equal((await peer.call("GET", bad)).code, "MANIFEST_INVALID")
  }
})

test("a blob that no manifest came for is forgotten after a day, one that is published stays", async (t) => {
  const peer = await startPeer(t)
  const [kept, lost] = [random(10), random(11)]
  for (const bytes of [kept, lost]) await peer.upload(bytes)
  await peer.publish(await signed(peer.world, [kept]))
  await peer.close()
  const later = Date.now() + 25 * 3600 * 1000
  t.mock.method(Date, "now", () => later)
  const after = await startPeer(t, {}, peer.world)
  const statusOf = async (bytes: Uint8Array): Promise<number> =>
    (await after.call("GET", `/api/v1/blobs/sha256/${sha256(bytes)}`)).status
  while ((await statusOf(lost)) !== 404) await setTimeout(20)
  assert.equal(await statusOf(kept), 200)
})

for (const [name, size] of [
  ["one part", 1000],
  ["three parts", 17 * mib],
  ["eight parts", 60 * mib],
] as const) {
  const skip = size > 17 * mib && onlyThorough
  test(`two publishers of the same new file (${name}), at once: each is told that it is there`, { skip }, async (t) => {
    const faults: unknown[] = []
    const peer = await startPeer(t, {
      logger: { ...quiet, error: (...all: unknown[]) => void faults.push(all) } as never,
    })
    const bytes = random(size)
    const file = describe(bytes)
    const publisher = async (): Promise<number[]> => {
      const { state, grants } = (await peer.ask(file)).json.files[0]
      assert.ok(["needed", "proving", "present"].includes(state))
      const puts = await Promise.all(grants.map((grant) => put(peer, grant, file.part(grant.part))))
      const statuses = [...puts.map(({ status }) => status), (await complete(peer, bytes)).status]
      const again = await Promise.all(grants.map((grant) => put(peer, grant, file.part(grant.part))))
      return [...statuses, ...again.map(({ status }) => status)]
    }
    const publishers = Array.from({ length: 4 }, (_, i) => setTimeout(i * 10).then(publisher))
    const statuses = (await Promise.all(publishers)).flat()
    assert.deepEqual([...new Set(statuses)].sort(), [200, 204])
    assert.deepEqual(faults, [])
    assert.deepEqual((await peer.call("GET", `/api/v1/blobs/sha256/${sha256(bytes)}`)).bytes, bytes)
    assert.deepEqual(await readdir(join(peer.world.folder, "data", "staging")), [])
  })
}

test("who is superseded by one that fails is asked to try again", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(mib)
  const [grant] = await grantsOf(peer, bytes)
  const { answered } = await begin(peer, grant, bytes.subarray(0, 1000))
  assert.equal((await put(peer, grant, flip(bytes))).code, "DIGEST_MISMATCH")
  assert.match(await answered, /^HTTP\/1.1 503 /)
  assert.equal((await put(peer, grant, bytes)).status, 204)
  assert.equal((await complete(peer, bytes)).status, 200)
})

const damages: readonly [string, (path: string) => Promise<unknown>, number][] = [
  ["gone", (path) => rm(path), 404],
  ["shorter", (path) => truncate(path, 5), 404],
  ["longer", (path) => appendFile(path, "x"), 404],
  ["empty", (path) => truncate(path, 0), 404],
  ["a folder", (path) => rm(path).then(() => mkdir(join(path, "x"), { recursive: true })), 404],
  ["a link", (path) => rename(path, `${path}x`).then(() => symlink(`${path}x`, path)), 404],
]
for (const [at, [name, damage, status]] of damages.entries()) {
  for (const size of isThorough ? [10, 9 * mib] : [at === 0 ? 9 * mib : 10]) {
    test(`a blob of ${size} bytes whose file is ${name}: never served, needed again, refused at publish, healed`, async (t) => {
      const faults: unknown[] = []
      const peer = await startPeer(t, {
        logger: { ...quiet, error: (...all: unknown[]) => void faults.push(all) } as never,
      })
      const bytes = random(size)
      const path = join(peer.world.folder, "data", "blobs", sha256(bytes).slice(0, 2), sha256(bytes))
      await peer.upload(bytes)
      await chmod(path, 0o600)
      await damage(path)
      const blob = `/api/v1/blobs/sha256/${sha256(bytes)}`
      assert.equal((await peer.call("GET", blob)).status, status)
      const refused = await peer.publish(await signed(peer.world, [bytes]))
      assert.deepEqual([refused.code, refused.json.missing], ["BLOBS_MISSING", [sha256(bytes)]])
      assert.ok(faults.length >= 2)
      assert.match((await peer.call("GET", "/metrics")).bytes.toString(), /weighlock_blobs_damaged_total [1-9]/)
      assert.equal((await peer.ask(describe(bytes))).json.files[0].state, "needed")
      assert.equal((await peer.upload(bytes)).status, 200)
      assert.equal((await peer.ask(describe(bytes))).json.files[0].state, "present")
      assert.deepEqual((await peer.call("GET", blob)).bytes, bytes)
      assert.equal((await peer.publish(await signed(peer.world, [bytes]))).status, 201)
    })
  }
}
