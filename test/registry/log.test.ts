/** The log over HTTP: every answer about it is proven here with nothing but the trust root. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { gunzipSync } from "node:zlib"

import {
  type TrustChain,
  openTrustChain,
  parseBundle,
  parseEnvelope,
  parseLeaf,
  parseReference,
  sha256Hex,
  verify,
} from "@weighlock/manifest"
import {
  decodeBase64,
  emptyCheckpoint,
  hashLeaf,
  nodeReader,
  openCheckpoint,
  parseEntryBundle,
  parseProof,
  tilePath,
  tilesBetween,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from "@weighlock/tlog"
import { readFile } from "node:fs/promises"

import { type Peer, type World, random, signed, startPeer } from "./support.ts"

const chainOf = async ({ trust }: World): Promise<TrustChain> => openTrustChain([await readFile(trust)], { by: "file" })

interface Entries {
  readonly from: number
  readonly size: number
  readonly entries: readonly string[]
}

async function publishMany(peer: Peer, versions: readonly string[]): Promise<void> {
  const bytes = random(10)
  await peer.upload(bytes)
  for (const version of versions) {
    assert.equal((await peer.publish(await signed(peer.world, [bytes], { version }))).status, 201)
  }
}

const versions = (count: number): string[] => Array.from({ length: count }, (_, i) => `1.0.${i}`)
const bytesOf = (text: string): Uint8Array => decodeBase64(text) ?? assert.fail("not base64")

test("the answer to a publish is verified as a consumer would", async (t) => {
  const peer = await startPeer(t)
  const trustChain = await chainOf(peer.world)
  const bytes = random(10)
  await peer.upload(bytes)
  const { origin } = trustChain.current.log
  const first = await peer.publish(await signed(peer.world, [bytes]))
  const check = (answer: Buffer, selector: string): void => {
    const verified = verify({
      reference: parseReference(`acme/mnist@${selector}`),
      bundle: parseBundle(answer),
      trustChain,
      seen: emptyCheckpoint(origin),
      consistency: [],
      maxStaleness: null,
      now: new Date(),
    })
    assert.equal(verified.index, 2)
  }
  check(first.bytes, "1.0.0")
  await publishMany(peer, ["1.0.1", "1.0.2"])
  const again = await peer.call("GET", "/api/v1/models/acme/mnist/versions/1.0.0")
  check(again.bytes, "1.0.0")
  const digest = sha256Hex(parseEnvelope(await signed(peer.world, [bytes])).payload)
  check((await peer.call("GET", `/api/v1/manifests/sha256/${digest}`)).bytes, `sha256:${digest}`)
})

test("a log begins with its genesis and the trust root, and goes on with what was published", async (t) => {
  const peer = await startPeer(t)
  await publishMany(peer, ["1.0.0", "1.1.0"])
  const { json } = await peer.call("GET", "/api/v1/log/entries?from=0")
  const { entries, size } = json as unknown as Entries
  assert.equal(size, 4)
  const leaves = entries.map((entry) => parseLeaf(bytesOf(entry)))
  assert.deepEqual(
    leaves.map(({ op, model, seq, subject }) => [op, model, seq, subject]),
    [
      ["genesis", undefined, undefined, undefined],
      ["trust", undefined, undefined, "1"],
      ["publish", "acme/mnist", 0, "1.0.0"],
      ["publish", "acme/mnist", 1, "1.1.0"],
    ],
  )
  assert.deepEqual(Buffer.from(leaves[3]?.prev ?? []), Buffer.from(hashLeaf(bytesOf(entries[2] ?? ""))))
  assert.deepEqual(leaves[0]?.signatures, [])
})

test("the tiles hash up to the signed root, at every size on the way", async (t) => {
  const peer = await startPeer(t)
  const log = (await chainOf(peer.world)).current.log
  await publishMany(peer, versions(5))
  const note = (await peer.call("GET", "/log/checkpoint")).bytes.toString()
  const { size, root } = openCheckpoint(note, log)
  assert.equal(size, 7)
  const tiles = new Map<string, Uint8Array>()
  for (const tile of tilesBetween(0, size)) {
    const reply = await peer.call("GET", `/log/${tilePath(tile)}`)
    assert.equal(reply.status, 200)
    assert.equal(reply.headers.get("content-type"), "application/octet-stream")
    assert.equal(reply.headers.get("cache-control"), "public, max-age=31536000, immutable")
    assert.equal(reply.headers.get("access-control-allow-origin"), "*")
    tiles.set(tilePath(tile), reply.bytes)
  }
  assert.deepEqual(treeRoot(size, nodeReader(size, tiles)), root)
  const hashes = parseEntryBundle(tiles.get("tile/entries/000.p/7") ?? new Uint8Array(0), 7).map(hashLeaf)
  assert.deepEqual(Buffer.concat(hashes), Buffer.from(tiles.get("tile/0/000.p/7") ?? []))
  const earlier = await peer.call("GET", "/log/tile/0/000.p/3") // what a path held it holds
  assert.deepEqual(earlier.bytes, Buffer.concat(hashes.slice(0, 3)))
})

test("the checkpoint is text, short-lived, and for web pages too; bundles of entries are compressed when asked", async (t) => {
  const peer = await startPeer(t)
  const checkpoint = await peer.call("GET", "/log/checkpoint")
  assert.equal(checkpoint.headers.get("content-type"), "text/plain; charset=utf-8")
  assert.equal(checkpoint.headers.get("cache-control"), "no-cache")
  assert.equal(checkpoint.headers.get("access-control-allow-origin"), "*")
  const path = "/log/tile/entries/000.p/2"
  const raw = (headers: string): Promise<string> =>
    peer.raw(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${headers}\r\n`)
  const [plain, packed, refused] = await Promise.all(
    ["", "accept-encoding: br, gzip;q=0.5\r\n", "accept-encoding: gzip;q=0\r\n"].map(raw),
  )
  const bodyOf = (text = ""): Buffer => Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1")
  assert.match(packed ?? "", /^content-encoding: gzip\r$/m)
  assert.match(plain ?? "", /^vary: accept-encoding\r$/m)
  assert.doesNotMatch(`${plain}${refused}`, /^content-encoding/m)
  assert.deepEqual(gunzipSync(bodyOf(packed)), bodyOf(plain))
  assert.deepEqual(bodyOf(refused), bodyOf(plain))
})

test("a tile that is not there, yet or ever, is a 404 that a web page sees and no cache keeps", async (t) => {
  const peer = await startPeer(t)
  for (const tile of [
    "0/001",
    "0/000",
    "0/000.p/3",
    "0/000.p/0",
    "0/0",
    "1/000.p/1",
    "64/000",
    "00/000",
    "entries/000",
    "x",
  ]) {
    const reply = await peer.call("GET", `/log/tile/${tile}`)
    assert.deepEqual([reply.status, reply.code], [404, "NOT_FOUND"], tile)
    assert.equal(reply.headers.get("access-control-allow-origin"), "*")
    assert.equal(reply.headers.get("cache-control"), "no-store")
  }
  assert.equal((await peer.call("GET", "/log/tile/0/000.p/2")).status, 200)
  assert.equal((await peer.call("GET", "/api/v1/models")).headers.get("access-control-allow-origin"), null)
})

test("helper routes prove every entry and every pair of sizes", async (t) => {
  const peer = await startPeer(t)
  await publishMany(peer, versions(6))
  const roots = new Map<number, Uint8Array>()
  const { entries } = (await peer.call("GET", "/api/v1/log/entries?from=0&limit=1000")).json as unknown as Entries
  const leaves = entries.map((entry) => hashLeaf(bytesOf(entry)))
  const { GrowingTree } = await import("@weighlock/tlog")
  const tree = new GrowingTree()
  roots.set(0, tree.root())
  for (const leaf of leaves) {
    tree.append(leaf)
    roots.set(tree.size, tree.root())
  }
  type Proof = { readonly index: number; readonly size: number; readonly entry: string; readonly hashes: string[] }
  for (let size = 1; size <= 8; size++) {
    for (let index = 0; index < size; index++) {
      const json = (await peer.call("GET", `/api/v1/log/proof/${index}?size=${size}`)).json as unknown as Proof
      assert.deepEqual([json.index, json.size, json.entry], [index, size, entries[index]])
      const [leaf, root] = [leaves[index] as Uint8Array, roots.get(size) as Uint8Array]
      verifyInclusion({ leaf, index, size, root, proof: json.hashes.map(bytesOf) })
    }
    for (let from = 0; from <= size; from++) {
      const { json } = await peer.call("GET", `/api/v1/log/consistency?from=${from}&to=${size}`)
      const proof = (json as unknown as Proof).hashes.map(bytesOf)
      const headOf = (at: number) => ({ size: at, root: roots.get(at) as Uint8Array })
      verifyConsistency({ from: headOf(from), to: headOf(size), proof })
    }
  }
})

test("pages of entries: from the middle, past the end, and none too large", async (t) => {
  const peer = await startPeer(t)
  await publishMany(peer, versions(3))
  const page = async (query: string): Promise<Entries> =>
    (await peer.call("GET", `/api/v1/log/entries?${query}`)).json as unknown as Entries
  assert.deepEqual([(await page("from=1&limit=2")).entries.length, (await page("from=4")).entries.length], [2, 1])
  assert.deepEqual((await page("from=5")).entries, [])
  assert.deepEqual((await page("from=999999999999999")).entries, [])
  for (const query of [
    "",
    "from=-1",
    "from=01",
    "from=1e3",
    "from=0&limit=0",
    "from=0&limit=1001",
    "from=0&x=1",
    "from=9007199254740992",
  ]) {
    assert.equal((await peer.call("GET", `/api/v1/log/entries?${query}`)).code, "USAGE", query)
  }
})

test("the history of a model: every entry proven under one checkpoint, in pages", async (t) => {
  const peer = await startPeer(t)
  const log = (await chainOf(peer.world)).current.log
  await publishMany(peer, versions(5))
  interface History {
    readonly size: number
    readonly checkpoint: string
    readonly next?: number
    readonly entries: readonly { readonly index: number; readonly entry: string; readonly hashes: string[] }[]
  }
  const page = async (query: string): Promise<History> =>
    (await peer.call("GET", `/api/v1/models/acme/mnist/history${query}`)).json as unknown as History
  const { size, checkpoint, entries, next } = await page("")
  assert.equal(next, undefined)
  const opened = openCheckpoint(checkpoint, log)
  assert.equal(opened.size, size)
  for (const { index, entry, hashes } of entries) {
    const leaf = hashLeaf(bytesOf(entry))
    verifyInclusion({ leaf, index, size, root: opened.root, proof: hashes.map(bytesOf) })
  }
  assert.deepEqual(
    entries.map(({ entry }) => parseLeaf(bytesOf(entry)).seq),
    [0, 1, 2, 3, 4],
  )
  const [first, second, third] = [
    await page("?limit=2"),
    await page("?after=1&limit=2"),
    await page("?after=3&limit=2"),
  ]
  assert.deepEqual([first.next, second.next, third.next], [1, 3, undefined])
  assert.deepEqual([...first.entries, ...second.entries, ...third.entries], entries)
  assert.equal((await peer.call("GET", "/api/v1/models/acme/none/history")).code, "NOT_FOUND")
})

test("a payload too large for its entry is kept beside the log", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(10)
  await peer.upload(bytes)
  const metadata = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`k${i}`, "x".repeat(900)]))
  const envelope = await signed(peer.world, [bytes], { metadata })
  const { payload } = parseEnvelope(envelope)
  assert.ok(payload.length > 8192)
  const reply = await peer.publish(envelope)
  assert.equal(reply.status, 201)
  const bundle = parseBundle(reply.bytes)
  assert.equal(parseLeaf(bundle.entry ?? new Uint8Array(0)).payload.inline, undefined)
  const kept = await peer.call("GET", `/log/payload/sha256/${sha256Hex(payload)}`)
  assert.deepEqual(kept.bytes, Buffer.from(payload))
  assert.equal(kept.headers.get("cache-control"), "public, max-age=31536000, immutable")
  const again = await peer.call("GET", "/api/v1/models/acme/mnist/versions/1.0.0")
  assert.deepEqual(parseBundle(again.bytes).envelope, bundle.envelope)
})

test("the trust root's bundle is its entry, proven", async (t) => {
  const peer = await startPeer(t)
  const { entry, proof } = parseBundle((await peer.call("GET", "/api/v1/trust")).bytes)
  assert.ok(entry && proof)
  const { index, hashes, checkpoint } = parseProof(proof)
  const { size, root } = openCheckpoint(checkpoint, (await chainOf(peer.world)).current.log)
  assert.equal(index, 1)
  verifyInclusion({ leaf: hashLeaf(entry), index, size, root, proof: hashes })
})

test("100 identical publishes at once take one index; of two manifests for a version one wins", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(10)
  await peer.upload(bytes)
  const envelope = await signed(peer.world, [bytes])
  const other = await signed(peer.world, [bytes], { createdAt: "2026-11-23T12:00:01Z" })
  const replies = await Promise.all(
    Array.from({ length: 100 }, (_, i) => peer.publish(i % 10 === 9 ? other : envelope)),
  )
  const done = replies.filter(({ status }) => status === 200 || status === 201)
  assert.equal(new Set(done.map(({ bytes }) => parseProof(parseBundle(bytes).proof ?? "").index)).size, 1)
  assert.equal(replies.filter(({ status }) => status === 201).length, 1)
  assert.deepEqual(
    new Set(replies.filter((each) => !done.includes(each)).map(({ code }) => code)),
    new Set(["VERSION_EXISTS"]),
  )
  assert.equal((await peer.call("GET", "/api/v1/info")).json.log.size, 3)
})
