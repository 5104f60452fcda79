/** The thin line over HTTP: upload, publish, read back; the same again; another for the same version. */
import assert from "node:assert/strict"
import { test } from "node:test"

import { parseBundle, parseEnvelope, sha256Hex } from "@weighlock/manifest"

import { type Answer, describe, makeWorld, random, sha256, signed, startPeer } from "./support.ts"

const version = "/api/v1/models/acme/mnist/versions/1.0.0"

test("a signed manifest is published once its blobs are there, and read back byte for byte", async (t) => {
  const peer = await startPeer(t)
  const [small, empty, big] = [random(1000), Buffer.alloc(0), random(20_000_000)]
  const envelope = await signed(peer.world, [small, empty, big])
  const missing = await peer.publish(envelope)
  assert.equal(missing.status, 422)
  assert.equal(missing.code, "BLOBS_MISSING")
  assert.deepEqual(new Set(missing.json.missing), new Set([small, empty, big].map(sha256)))
  for (const bytes of [small, empty, big]) assert.equal((await peer.upload(bytes)).status, 200)
  const first = await peer.publish(envelope)
  assert.equal(first.status, 201)
  assert.deepEqual(parseBundle(first.bytes).envelope, parseEnvelope(envelope))
  const digest = sha256Hex(parseEnvelope(envelope).payload)
  for (const path of [version, `/api/v1/manifests/sha256/${digest}`]) {
    const { status, bytes, headers } = await peer.call("GET", path)
    assert.equal(status, 200)
    assert.deepEqual(bytes, first.bytes)
    assert.equal(headers.get("etag"), `"${sha256(bytes)}"`)
    assert.equal(
      (await peer.call("GET", path, { headers: { "if-none-match": headers.get("etag") ?? "" } })).status,
      304,
    )
  }
  for (const bytes of [small, empty, big]) {
    assert.deepEqual((await peer.call("GET", `/api/v1/blobs/sha256/${sha256(bytes)}`)).bytes, bytes)
  }
})

test("the same again answers 200 with the first bundle, another manifest VERSION_EXISTS", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(10)
  await peer.upload(bytes)
  const envelope = await signed(peer.world, [bytes])
  const first = await peer.publish(envelope)
  const again = await peer.publish(envelope)
  assert.deepEqual([first.status, again.status], [201, 200])
  assert.deepEqual(again.bytes, first.bytes)
  const other = await peer.publish(await signed(peer.world, [bytes], { createdAt: "2026-11-24T00:00:00Z" }))
  assert.equal(other.status, 409)
  assert.equal(other.code, "VERSION_EXISTS")
  assert.match(other.json.detail, new RegExp(sha256Hex(parseEnvelope(envelope).payload)))
})

test("100 identical publishes at once are one publication", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(10)
  await peer.upload(bytes)
  const envelope = await signed(peer.world, [bytes])
  const replies = await Promise.all(Array.from({ length: 100 }, () => peer.publish(envelope)))
  assert.equal(replies.filter(({ status }) => status === 201).length, 1)
  assert.equal(replies.filter(({ status }) => status === 200).length, 99)
  assert.equal((await peer.call("GET", "/api/v1/models/acme/mnist")).json.versions.length, 1)
})

test("of 50 different manifests for one version at once, one wins and stays", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(10)
  await peer.upload(bytes)
  const times = Array.from({ length: 50 }, (_, i) => `2026-11-23T12:00:${String(i).padStart(2, "0")}Z`)
  const envelopes = await Promise.all(times.map((createdAt) => signed(peer.world, [bytes], { createdAt })))
  const replies = await Promise.all(envelopes.map((envelope) => peer.publish(envelope)))
  const winners = replies.filter(({ status }) => status === 201)
  assert.equal(winners.length, 1)
  assert.equal(replies.filter(({ code }) => code === "VERSION_EXISTS").length, 49)
  assert.deepEqual((await peer.call("GET", version)).bytes, winners[0]?.bytes)
})

test("a manifest whose parts do not describe the whole is refused", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(9_000_000)
  await peer.upload(bytes)
  const { resource } = describe(bytes)
  const [first = "", second = ""] = resource.parts?.digests ?? []
  const swapped = { ...resource, parts: { size: 8 * 2 ** 20, digests: [second, first] } }
  const reply = await peer.publish(await signed(peer.world, [], { resources: [swapped] }))
  assert.deepEqual([reply.status, reply.code], [422, "DIGEST_MISMATCH"])
  const size = { ...resource, size: bytes.length - 1 }
  assert.equal((await peer.publish(await signed(peer.world, [], { resources: [size] }))).code, "DIGEST_MISMATCH")
})

test("what the trust root does not allow is refused with its code", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(10)
  await peer.upload(bytes)
  const stranger = await makeWorld(t)
  const envelope = await signed(peer.world, [bytes])
  const { signatures, ...rest } = JSON.parse(envelope.toString()) as { signatures: { keyid: string; sig: string }[] }
  const flipped = signatures.map(({ keyid, sig }) => ({ keyid, sig: (sig.startsWith("A") ? "B" : "A") + sig.slice(1) }))
  const cases: [string, number, string, () => Promise<Buffer> | Buffer, string?][] = [
    ["a stranger's key", 403, "SIGNER_UNTRUSTED", () => signed({ ...stranger }, [bytes])],
    ["no signature", 422, "UNSIGNED", () => Buffer.from(JSON.stringify({ ...rest, signatures: [] }))],
    [
      "a changed signature",
      422,
      "SIGNATURE_INVALID",
      () => Buffer.from(JSON.stringify({ ...rest, signatures: flipped })),
    ],
    ["another model", 422, "SUBJECT_MISMATCH", () => envelope, "acme/other"],
    ["another registry", 422, "SUBJECT_MISMATCH", () => signed(peer.world, [bytes], { registry: "else.example" })],
    ["not JSON", 400, "MANIFEST_INVALID", () => Buffer.from("{")],
    ["a duplicate key", 400, "MANIFEST_INVALID", () => Buffer.from(envelope.toString().replace("{", '{"payload":"",'))],
    ["trailing bytes", 400, "MANIFEST_INVALID", () => Buffer.concat([envelope, Buffer.from("x")])],
    ["nothing", 400, "MANIFEST_INVALID", () => Buffer.alloc(0)],
  ]
  for (const [name, status, code, body, model] of cases) {
    const reply = await peer.publish(await body(), model)
    assert.deepEqual([reply.status, reply.code], [status, code], name)
  }
  assert.equal((await peer.call("GET", "/api/v1/models")).json.models.length, 0)
})

test("an expired trust root admits nothing", async (t) => {
  const world = await makeWorld(t, new Date(Date.now() - 1000))
  const peer = await startPeer(t, {}, world)
  const bytes = random(10)
  await peer.upload(bytes)
  assert.equal((await peer.publish(await signed(world, [bytes]))).code, "TRUST_EXPIRED")
})

test("models and versions come in pages", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(10)
  await peer.upload(bytes)
  for (const model of ["acme/b", "acme/a", "zeta/a"]) {
    for (const each of ["1.0.0", "2.0.0-rc.1", "1.10.0"]) {
      await peer.publish(await signed(peer.world, [bytes], { model, version: each }), model)
    }
  }
  const list = async (query: string) => (await peer.call("GET", `/api/v1/models${query}`)).json
  assert.deepEqual(
    (await list("")).models.map(({ model }) => model),
    ["acme/a", "acme/b", "zeta/a"],
  )
  assert.deepEqual(await list("?query=acme&limit=1"), { models: [{ model: "acme/a", versions: 3 }], next: "acme/a" })
  assert.deepEqual((await list("?query=acme&after=acme%2Fa")).models, [{ model: "acme/b", versions: 3 }])
  const one = async (query: string) => (await peer.call("GET", `/api/v1/models/acme/a${query}`)).json
  const names = ({ versions }: Answer): string[] => versions.map(({ version: each }) => each)
  assert.deepEqual(names(await one("")), ["1.0.0", "2.0.0-rc.1", "1.10.0"])
  assert.equal((await one("?limit=2")).next, "2.0.0-rc.1")
  assert.deepEqual(names(await one("?after=2.0.0-rc.1")), ["1.10.0"])
})
