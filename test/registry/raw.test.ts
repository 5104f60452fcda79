/** What only a raw socket can send: smuggling, odd URLs, header floods, silence. */
import assert from "node:assert/strict"
import { connect } from "node:net"
import { test } from "node:test"

import { type Peer, startPeer } from "./support.ts"

const host = "host: localhost\r\n"
const statuses = (text: string): string[] => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status = ""]) => status)

async function first(peer: Peer, text: string): Promise<string | undefined> {
  return statuses(await peer.raw(text, (answer) => answer.includes("\r\n\r\n")))[0]
}

test("URLs are refused in every odd spelling, before they are decoded", async (t) => {
  const peer = await startPeer(t)
  const urls = [
    "//api/v1/info",
    "/api//v1/info",
    "/api/v1/./info",
    "/api/v1/../v1/info",
    "/api/v1/%69nfo",
    "/api/v1/models/acme%2fmnist",
    "/api/v1/models/acme/%2e%2e",
    "/api/v1/models/acme/%252e%252e",
    "/api/v1/models/acme/..%5c",
    "/api/v1/models/acme\\mnist",
    "/api/v1/models/acme/mnist;x=1",
    "/api/v1/models/acme/mnist%00",
    "/api/v1/info#x",
    "/api/v1/info?a?b",
    "/api/v1/models?query=a\\b",
    "http://evil.example/api/v1/info",
    "*",
    "/api/v1/models/acme/ｍnist",
    "/%c0%ae%c0%ae/",
  ]
  for (const url of urls)
    assert.equal(await first(peer, `GET ${url} HTTP/1.1\r\n${host}connection: close\r\n\r\n`), "400", url)
})

test("a request that two parsers could read differently is refused, and nothing after it is read", async (t) => {
  const peer = await startPeer(t)
  const smuggled = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
  const post = (headers: string, body: string): string =>
    `POST /api/v1/uploads HTTP/1.1\r\n${host}content-type: application/json\r\n${headers}\r\n${body}`
  const cases: [string, string][] = [
    ["CL.TE", post("content-length: 4\r\ntransfer-encoding: chunked\r\n", `0\r\n\r\n${smuggled}`)],
    ["TE.CL", post("transfer-encoding: chunked\r\ncontent-length: 4\r\n", `5c\r\n${smuggled}`)],
    ["two lengths", post("content-length: 4\r\ncontent-length: 5\r\n", `abcde${smuggled}`)],
    ["a list of lengths", post("content-length: 4, 4\r\n", `abcd${smuggled}`)],
    ["a negative length", post("content-length: -1\r\n", smuggled)],
    ["a signed length", post("content-length: +4\r\n", `abcd${smuggled}`)],
    ["a hex length", post("content-length: 0x4\r\n", `abcd${smuggled}`)],
    ["an unknown coding", post("transfer-encoding: xchunked\r\n", `0\r\n\r\n${smuggled}`)],
    ["chunked, then another", post("transfer-encoding: chunked, identity\r\n", `0\r\n\r\n${smuggled}`)],
    ["space before the colon", post("transfer-encoding : chunked\r\n", `0\r\n\r\n${smuggled}`)],
    ["a folded header", post("x: a\r\n transfer-encoding: chunked\r\n", `0\r\n\r\n${smuggled}`)],
    ["a bare LF", `POST /api/v1/uploads HTTP/1.1\n${host}\n\n${smuggled}`],
    ["a bare CR", post("x: a\rtransfer-encoding: chunked\r\n", `0\r\n\r\n${smuggled}`)],
    ["a NUL in a header", post("x: a\0b\r\n", smuggled)],
    ["a bad chunk size", post("transfer-encoding: chunked\r\n", `0x1\r\na\r\n0\r\n\r\n${smuggled}`)],
    ["a huge chunk size", post("transfer-encoding: chunked\r\n", `fffffffffffffffff\r\na`)],
    ["no host", `GET /healthz HTTP/1.1\r\n\r\n`],
    ["two hosts", `GET /healthz HTTP/1.1\r\n${host}${host}\r\n`],
    ["two tokens", `GET /healthz HTTP/1.1\r\n${host}authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n`],
    ["HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ]
  const tried = cases.map(async ([name, text]) => {
    const found = statuses(await peer.raw(text))
    assert.ok(
      found.every((status) => status === "400" || status === "421"),
      `${name}: ${found.join(" ")}`,
    )
    assert.ok(found.length <= 2, name)
  })
  await Promise.all(tried)
})

test("headers have limits: bytes 431, lines 400", async (t) => {
  const peer = await startPeer(t)
  const get = (headers: string): string => `GET /healthz HTTP/1.1\r\n${host}connection: close\r\n${headers}\r\n`
  assert.equal(await first(peer, get(`x: ${"a".repeat(20_000)}\r\n`)), "431")
  assert.equal(await first(peer, get("aaaa: bbbb\r\n".repeat(5000))), "431")
  assert.equal(await first(peer, get("a: b\r\n".repeat(100))), "400")
  assert.equal(await first(peer, `GET /${"a".repeat(20_000)} HTTP/1.1\r\n${host}\r\n`), "431")
  assert.equal(await first(peer, get("a: b\r\n".repeat(20))), "200")
})

test("silence and dripping headers end in a 408 or a closed connection", async (t) => {
  const peer = await startPeer(t, { timeouts: { headers: 300, idle: 600, request: 2000 } })
  for (const text of ["", "GET /healthz HTTP/1.1\r\nhost: loc"]) {
    const reply = await peer.raw(text)
    assert.ok(statuses(reply).every((status) => status === "408"))
  }
})

test("a body that drips has an end", async (t) => {
  const peer = await startPeer(t, { timeouts: { headers: 300, idle: 1000, request: 1000 } })
  const { hostname, port } = new URL(peer.url)
  const socket = connect(Number(port), hostname)
  socket.on("error", () => undefined)
  socket.write(
    `POST /api/v1/uploads HTTP/1.1\r\n${host}content-type: application/json\r\ncontent-length: 100000\r\n\r\n`,
  )
  const drip = setInterval(() => socket.write(" "), 100)
  socket.resume()
  await new Promise((resolve) => socket.on("close", resolve))
  clearInterval(drip)
})

test("hundreds of idle connections do not keep anybody out", async (t) => {
  const peer = await startPeer(t)
  const { hostname, port } = new URL(peer.url)
  const sockets = Array.from({ length: 800 }, () => connect(Number(port), hostname).on("error", () => undefined))
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("connect", resolve))))
  assert.equal((await peer.call("GET", "/healthz")).status, 200)
  for (const socket of sockets) socket.destroy()
})
