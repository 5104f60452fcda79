/** API abuse: who may, how it must be asked, and what an odd request gets. Every refusal is a problem document. */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { request } from "node:http"
import { join } from "node:path"
import { test } from "node:test"

import { type Peer, describe, makeWorld, random, sha256, signed, startPeer } from "./support.ts"

const day = 86_400_000

async function tokenPeer(t: Parameters<typeof startPeer>[0], anonymousRead: boolean): Promise<Peer> {
  const world = await makeWorld(t)
  const token = (name: string, scopes: string[], expires?: Date) => ({
    name,
    sha256: sha256(Buffer.from(`secret-${name}`)),
    scopes,
    ...(expires && { expires: expires.toISOString() }),
  })
  const tokens = [
    token("writer", ["publish"]),
    token("reader", ["read"]),
    token("both", ["publish", "read"], new Date(Date.now() + day)),
    token("old", ["publish", "read"], new Date(Date.now() - day)),
  ]
  const path = join(world.folder, "tokens.json")
  await writeFile(path, JSON.stringify({ tokens, anonymousRead }))
  return startPeer(t, { tokens: path }, world)
}

const bearer = (name: string): Record<string, string> => ({ authorization: `Bearer secret-${name}` })

test("a write needs a token with the scope publish", async (t) => {
  const peer = await tokenPeer(t, true)
  const bytes = random(10)
  const envelope = await signed(peer.world, [bytes])
  const cases: [string, Record<string, string>, number, string][] = [
    ["none", {}, 401, "UNAUTHENTICATED"],
    ["unknown", bearer("nobody"), 401, "UNAUTHENTICATED"],
    ["expired", bearer("old"), 401, "UNAUTHENTICATED"],
    ["empty", { authorization: "Bearer " }, 401, "UNAUTHENTICATED"],
    ["another scheme", { authorization: "Basic d3JpdGVyOnNlY3JldC13cml0ZXI=" }, 401, "UNAUTHENTICATED"],
    ["the hash itself", { authorization: `Bearer ${sha256(Buffer.from("secret-writer"))}` }, 401, "UNAUTHENTICATED"],
    ["with more", { authorization: "Bearer secret-writer secret-writer" }, 401, "UNAUTHENTICATED"],
    ["read only", bearer("reader"), 403, "FORBIDDEN"],
  ]
  for (const [name, headers, status, code] of cases) {
    for (const path of [
      "/api/v1/uploads",
      `/api/v1/uploads/${sha256(bytes)}/complete`,
      "/api/v1/models/acme/mnist/versions",
    ]) {
      const reply = await peer.call("POST", path, { headers })
      assert.deepEqual([reply.status, reply.code], [status, code], `${name} ${path}`)
    }
  }
  assert.equal((await peer.upload(bytes, bearer("writer"))).status, 200)
  assert.equal((await peer.publish(envelope, "acme/mnist", bearer("both"))).status, 201)
  assert.equal((await peer.call("GET", "/api/v1/models/acme/mnist")).status, 200)
})

test("with anonymousRead false a read needs the scope read", async (t) => {
  const peer = await tokenPeer(t, false)
  const paths = [
    "/api/v1/info",
    "/api/v1/models",
    "/api/v1/trust",
    `/api/v1/blobs/sha256/${"0".repeat(64)}`,
    "/metrics",
  ]
  for (const path of paths) {
    assert.equal((await peer.call("GET", path)).code, "UNAUTHENTICATED", path)
    assert.equal((await peer.call("GET", path, { headers: bearer("writer") })).code, "FORBIDDEN", path)
    assert.notEqual((await peer.call("GET", path, { headers: bearer("reader") })).status, 401, path)
  }
  for (const path of ["/healthz", "/readyz", "/openapi.json"])
    assert.equal((await peer.call("GET", path)).status, 200, path)
})

test("a signature does not replace a token, a token does not replace a signature", async (t) => {
  const peer = await tokenPeer(t, true)
  const stranger = await makeWorld(t)
  const bytes = random(10)
  await peer.upload(bytes, bearer("writer"))
  assert.equal((await peer.publish(await signed(peer.world, [bytes]))).code, "UNAUTHENTICATED")
  assert.equal(
    (await peer.publish(await signed(stranger, [bytes]), "acme/mnist", bearer("writer"))).code,
    "SIGNER_UNTRUSTED",
  )
})

/** fetch sets Host itself. */
function statusWithHost(peer: Peer, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(`${peer.url}/healthz`, { headers: { host } }, (response) => resolve(response.resume().statusCode))
      .on("error", reject)
      .end()
  })
}

test("without tokens only loopback hosts are served (DNS rebinding)", async (t) => {
  const peer = await startPeer(t)
  const port = new URL(peer.url).port
  for (const host of [`127.0.0.1:${port}`, "localhost", "LOCALHOST:1", "127.1.2.3", "[::1]:80"]) {
    assert.equal(await statusWithHost(peer, host), 200, host)
  }
  for (const host of [
    "evil.example",
    `evil.example:${port}`,
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1",
    "0.0.0.0",
    "[::]",
    "localhost@evil.example",
  ]) {
    assert.equal(await statusWithHost(peer, host), 421, host)
  }
  assert.equal(await statusWithHost(await tokenPeer(t, true), "models.acme.example"), 200)
})

test("a web page may not write", async (t) => {
  const peer = await startPeer(t)
  for (const origin of ["https://evil.example", "http://localhost", "null", peer.url]) {
    for (const path of ["/api/v1/uploads", "/api/v1/models/acme/mnist/versions"]) {
      assert.equal((await peer.call("POST", path, { headers: { origin } })).code, "FORBIDDEN", origin)
    }
  }
  assert.equal((await peer.call("GET", "/healthz", { headers: { origin: "https://evil.example" } })).status, 200)
})

test("JSON must say that it is JSON, and come as it is", async (t) => {
  const peer = await startPeer(t)
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
  ]) {
    for (const path of ["/api/v1/uploads", "/api/v1/models/acme/mnist/versions"]) {
      const reply = await peer.call("POST", path, { body: "{}", headers: { "content-type": type } })
      assert.deepEqual([reply.status, reply.code], [415, "MEDIA_TYPE_UNSUPPORTED"], type)
    }
  }
  const gzip = await peer.call("POST", "/api/v1/uploads", { body: "{}", headers: { "content-encoding": "gzip" } })
  assert.equal(gzip.status, 415)
  const fine = await peer.call("POST", "/api/v1/uploads", {
    body: JSON.stringify({ files: [describe(random(1)).request] }),
    headers: { "content-type": "Application/JSON; charset=utf-8" },
  })
  assert.equal(fine.status, 200)
})

test("wrong methods get 405 and what is allowed", async (t) => {
  const peer = await startPeer(t)
  const cases: [string, string, string][] = [
    ["DELETE", "/api/v1/models/acme/mnist/versions/1.0.0", "GET, HEAD"],
    ["PUT", "/api/v1/models/acme/mnist/versions/1.0.0", "GET, HEAD"],
    ["PATCH", "/api/v1/models/acme/mnist", "GET, HEAD"],
    ["GET", "/api/v1/models/acme/mnist/versions", "POST"],
    ["DELETE", `/api/v1/blobs/sha256/${"0".repeat(64)}`, "GET, HEAD"],
    ["GET", "/api/v1/uploads", "POST"],
    ["POST", "/api/v1/trust", "GET, HEAD"],
    ["OPTIONS", "/api/v1/info", "GET, HEAD"],
    ["POST", `/api/v1/uploads/${"0".repeat(64)}/parts/1`, "PUT"],
  ]
  for (const [method, path, allow] of cases) {
    const reply = await peer.call(method, path)
    assert.deepEqual(
      [reply.status, reply.code, reply.headers.get("allow")],
      [405, "METHOD_NOT_ALLOWED", allow],
      `${method} ${path}`,
    )
  }
})

test("what is not there yet, or in another spelling, is 404", async (t) => {
  const peer = await startPeer(t)
  const paths = [
    "/",
    "/api/v1",
    "/api/v1/info/",
    "/API/v1/info",
    "/api/v1/Info",
    "/api/v1/models/acme/mnist/aliases/prod",
    "/api/v1/revocations",
    "/api/v1/models/acme/mnist/history",
    "/log",
    "/log/tile",
    "/log/tile/0/001",
    "/log/tile/0/000",
    "/log/tile/0/000.p/3",
    "/log/tile/8/000.p/1",
    "/log/tile/entries/000.p/3",
    `/log/payload/sha256/${"0".repeat(64)}`,
    "/api/v1/log/proof/2",
    "/api/v1/log/proof/0?size=3",
    "/api/v1/log/consistency?from=1&to=3",
    "/api/v1/trust/2",
    "/api/v1/models/acme/mnist",
    "/api/v1/models/acme/mnist/versions/1.0.0",
    `/api/v1/manifests/sha256/${"0".repeat(64)}`,
  ]
  for (const path of paths) {
    const reply = await peer.call("GET", path)
    assert.deepEqual([reply.status, reply.code], [404, "NOT_FOUND"], path)
    assert.match(reply.headers.get("content-type") ?? "", /^application\/problem\+json/)
  }
})

test("bad names, versions, digests, pages and queries are 400", async (t) => {
  const peer = await startPeer(t)
  const bad = [
    "/api/v1/models/Acme/mnist",
    "/api/v1/models/-acme/mnist",
    "/api/v1/models/acme/a..b",
    `/api/v1/models/${"a".repeat(65)}/x`,
    "/api/v1/models/acme/__proto__",
    "/api/v1/models/acme/mnist/versions/1.0",
    "/api/v1/models/acme/mnist/versions/v1.0.0",
    "/api/v1/models/acme/mnist/versions/01.0.0",
    `/api/v1/models/acme/mnist/versions/1.0.0-${"a".repeat(60)}`,
    "/api/v1/models/acme/mnist/versions/latest",
    "/api/v1/manifests/sha256/abc",
    `/api/v1/manifests/sha256/${"A".repeat(64)}`,
    "/api/v1/trust/0",
    "/api/v1/trust/01",
    "/api/v1/trust/1e0",
    "/api/v1/models?limit=0",
    "/api/v1/models?limit=1001",
    "/api/v1/models?limit=1e2",
    "/api/v1/models?limit=-1",
    "/api/v1/models?limit=1&limit=2",
    "/api/v1/models?limit[]=1",
    "/api/v1/models?query=%27%20OR%201%3D1",
    "/api/v1/models?query=%00",
    "/api/v1/models?unknown=1",
    "/api/v1/models?__proto__=1",
    "/api/v1/models/acme/mnist?after=x",
    "/api/v1/info?x=1",
    `/api/v1/models?query=${"a".repeat(3000)}`,
  ]
  for (const path of ["/api/v1/models/acme/mnist.git", `/api/v1/models/${"a".repeat(64)}/${"b".repeat(64)}/history`]) {
    const reply = await peer.call("GET", path)
    assert.deepEqual([reply.status, reply.code], [404, "NOT_FOUND"], path)
  }
  for (const path of bad) {
    const reply = await peer.call("GET", path)
    assert.equal(reply.status, 400, path)
    assert.ok(["USAGE", "MANIFEST_INVALID"].includes(reply.code ?? ""), path)
  }
})

test("bodies have limits", async (t) => {
  const peer = await startPeer(t)
  const huge = Buffer.alloc(24 * 2 ** 20 + 1, 0x20)
  for (const path of ["/api/v1/uploads", "/api/v1/models/acme/mnist/versions"]) {
    const reply = await peer.call("POST", path, { body: huge })
    assert.deepEqual([reply.status, reply.code], [413, "TOO_LARGE"], path)
  }
  const deep = "[".repeat(1_000_000)
  assert.equal((await peer.call("POST", "/api/v1/uploads", { body: deep })).code, "MANIFEST_INVALID")
  assert.equal((await peer.publish(Buffer.from(deep))).code, "MANIFEST_INVALID")
})

test("an envelope as large as they may be is judged, not a 500", async (t) => {
  const peer = await startPeer(t)
  const payload = Buffer.alloc(16 * 2 ** 20, 0x20).toString("base64")
  const signatures = [{ keyid: "0".repeat(64), sig: "AAAA" }]
  const envelope = { payload, payloadType: "application/vnd.in-toto+json", signatures }
  assert.equal((await peer.publish(Buffer.from(JSON.stringify(envelope)))).code, "SIGNER_UNTRUSTED")
})

test("17 signatures are too many", async (t) => {
  const peer = await startPeer(t)
  const envelope = JSON.parse((await signed(peer.world, [random(1)])).toString()) as { signatures: { sig: string }[] }
  const sig = envelope.signatures[0]?.sig
  const strangers = Array.from({ length: 17 }, (_, i) => ({ keyid: i.toString(16).padStart(64, "0"), sig }))
  const known = [...strangers.slice(1), ...envelope.signatures]
  const reply = await peer.publish(Buffer.from(JSON.stringify({ ...envelope, signatures: known })))
  assert.deepEqual([reply.status, reply.code], [413, "TOO_LARGE"])
  // That nobody is known who signed it is said before anything else that is wrong with it.
  for (const signatures of [strangers, [strangers[0], null], [{ keyid: "x" }], [0]]) {
    const refused = await peer.publish(Buffer.from(JSON.stringify({ ...envelope, signatures })))
    assert.deepEqual([refused.status, refused.code], [403, "SIGNER_UNTRUSTED"])
  }
})

test("a refusal says nothing of the inside: no stack, no path, no software", async (t) => {
  const peer = await startPeer(t)
  const replies = [
    await peer.call("GET", "/nowhere"),
    await peer.call("POST", "/api/v1/uploads", { body: "{" }),
    await peer.publish(Buffer.from("null")),
    await peer.call("PUT", `/api/v1/uploads/${"0".repeat(64)}/parts/1`, { body: "x" }),
  ]
  for (const { bytes, headers, json } of replies) {
    assert.ok(!/\bat .*:\d+|node_modules|\/work|\/tmp|\.ts\b|Express/.test(bytes.toString()))
    assert.equal(headers.get("x-powered-by"), null)
    assert.equal(headers.get("x-content-type-options"), "nosniff")
    assert.deepEqual([json.type, json.status], [`urn:weighlock:error:${json.code}`, json.status])
    assert.ok(typeof json.title === "string" && typeof json.detail === "string")
  }
})

test("info, trust, probes and metrics", async (t) => {
  const peer = await startPeer(t)
  const { json: info } = await peer.call("GET", "/api/v1/info")
  assert.equal(info.log.origin, "models.acme.example/log")
  assert.equal(info.log.size, 2) // genesis and trust root
  assert.equal(info.trust.version, 1)
  const [newest, first] = [await peer.call("GET", "/api/v1/trust"), await peer.call("GET", "/api/v1/trust/1")]
  assert.deepEqual(newest.bytes, first.bytes)
  assert.equal(sha256(Buffer.from(newest.json.envelope.payload, "base64")), info.trust.sha256)
  for (const path of ["/healthz", "/readyz"]) assert.equal((await peer.call("GET", path)).status, 200)
  const metrics = await peer.call("GET", "/metrics")
  assert.match(
    metrics.bytes.toString(),
    /weighlock_http_requests_total\{method="GET",route="\/api\/v1\/info",status="200"\} 1/,
  )
  assert.match(metrics.bytes.toString(), /^weighlock_log_size 2$/m)
  assert.match(metrics.bytes.toString(), /^weighlock_log_checkpoint_seconds \d{10}/m)
})
