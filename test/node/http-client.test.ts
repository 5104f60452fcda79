/** Small requests: what comes is what was sent, and whoever is slow, endless or gone costs no more than the limits. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { createServer, type RequestListener } from "node:http"
import { createServer as createTlsServer } from "node:https"
import { createServer as createNetServer, type AddressInfo, type Server, type Socket } from "node:net"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { suite, test, type TestContext } from "node:test"
import { HttpClient, type HttpClientOptions } from "@weighlock/node"
import { codeSigning, issue, pemOf, serverAuth, type Wish } from "../support/certificate.ts"
import { tempFolder } from "../support/temp.ts"

async function listen(t: TestContext, server: Server): Promise<URL> {
  const sockets = new Set<Socket>()
  server.on("connection", (socket: Socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
}
const serve = (t: TestContext, listener: RequestListener): Promise<URL> => listen(t, createServer(listener))

function client(t: TestContext, options: Partial<HttpClientOptions> = {}): HttpClient {
  const http = new HttpClient({ totalMs: 60_000, maxBytes: 1000, ...options })
  t.after(() => http.close())
  return http
}
/** Far below the other limits of a test: whichever of them holds is told by the message, not by the clock. */
const soon = 300

test("what is sent arrives, what is answered comes back: no redirect, no decompression, no status is an error", async (t) => {
  const seen: unknown[] = []
  const url = await serve(t, (request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (text: string) => (body += text))
    request.on("end", () => {
      seen.push([request.method, request.headers["content-length"], request.headers["x-own"], body])
      const headers = { location: "http://127.0.0.1:1/", "content-encoding": "gzip" }
      response.writeHead(request.method === "GET" ? 302 : 500, headers).end("no gzip")
    })
  })
  const http = client(t)
  const { status, headers, body } = await http.request(url, { method: "POST", headers: { "x-own": "1" }, body: "né" })
  assert.deepEqual([status, headers.location, body.toString()], [500, "http://127.0.0.1:1/", "no gzip"])
  assert.equal((await http.request(url, { method: "GET" })).status, 302)
  await http.request(url, { method: "PUT", body: Buffer.alloc(0) })
  assert.deepEqual(seen, [
    ["POST", "3", "1", "né"],
    ["GET", undefined, undefined, ""],
    ["PUT", "0", undefined, ""],
  ])
})

test("a connection is kept; one that the server closed meanwhile is made anew, once", async (t) => {
  let [connections, requests] = [0, 0]
  const server = createServer((request, response) => {
    // The third comes on a kept connection, and finds it dead.
    if (++requests === 3) request.socket.resetAndDestroy()
    else response.end(String(requests))
  })
  server.on("connection", () => (connections += 1))
  const url = await listen(t, server)
  const http = client(t)
  for (const [answer, made] of [
    ["1", 1],
    ["2", 1],
    ["4", 2],
  ]) {
    assert.equal((await http.request(url, { method: "POST", body: "x" })).body.toString(), answer)
    assert.equal(connections, made)
  }
})

test("a server that resets every connection is not asked for ever", async (t) => {
  let connections = 0
  const server = createNetServer((socket) => {
    connections++
    socket.once("data", () => socket.resetAndDestroy())
  })
  await assert.rejects(client(t).request(await listen(t, server), { method: "GET" }), { code: "ECONNRESET" })
  assert.equal(connections, 1)
})

test("nobody there: the system's error", async (t) => {
  await assert.rejects(client(t).request(new URL("http://127.0.0.1:1/"), { method: "GET" }), { code: "ECONNREFUSED" })
})

const slow: Record<string, [RequestListener, Partial<HttpClientOptions>, RegExp]> = {
  "never answers": [() => undefined, { totalMs: soon }, /^did not answer within 300 ms$/],
  "is silent": [() => undefined, { idleMs: soon }, /^sent nothing for 300 ms$/],
  "stops in the middle": [
    (_, response) => void response.writeHead(200, { "content-length": "10" }).write("half"),
    { idleMs: soon },
    /^sent nothing for 300 ms$/,
  ],
  "sends a byte now and then": [
    (_, response) => {
      const timer = setInterval(() => response.write("."), 20)
      response.on("close", () => clearInterval(timer))
    },
    { totalMs: soon, maxBytes: 1e9 },
    /^did not answer within 300 ms$/,
  ],
}
for (const [what, [listener, options, message]] of Object.entries(slow)) {
  test(`a server that ${what}: TIMED_OUT`, async (t) => {
    const url = await serve(t, listener)
    await assert.rejects(client(t, options).request(url, { method: "GET" }), { code: "TIMED_OUT", message })
  })
}

test("a server that takes the connection and never says a word of TLS: TIMED_OUT", async (t) => {
  const url = await listen(
    t,
    createNetServer((socket) => void socket.on("error", () => undefined).resume()),
  )
  url.protocol = "https:"
  const http = client(t, { connectMs: soon })
  await assert.rejects(http.request(new URL(`https://${url.host}/`), { method: "GET" }), {
    code: "TIMED_OUT",
    message: /^took no connection within 300 ms$/,
  })
})

test("an answer that is too large, or has no end: refused, or cut, and the connection ends", async (t) => {
  let closed = 0
  const url = await serve(t, (request, response) => {
    const write = (): void => {
      while (!response.destroyed && response.write("x".repeat(1000))) continue
    }
    response.on("drain", write).on("close", () => (closed += 1))
    if (request.url === "/endless") write()
    else response.end("x".repeat(Number(request.url?.slice(1))))
  })
  const ask = async (path: string, whenLarger: "refuse" | "cut"): Promise<number> => {
    const { body } = await client(t, { whenLarger }).request(new URL(path, url), { method: "GET" })
    return body.length
  }
  assert.deepEqual([await ask("/1000", "refuse"), await ask("/0", "refuse")], [1000, 0])
  for (const path of ["/1001", "/endless"]) {
    await assert.rejects(ask(path, "refuse"), {
      code: "ANSWER_TOO_LARGE",
      message: "answered with more than 1000 bytes",
    })
    assert.equal(await ask(path, "cut"), 1000)
  }
  while (closed < 6) await new Promise((resolve) => setImmediate(resolve))
})

test("a signal ends it, with its reason; a client that is closed asks nobody", async (t) => {
  const reason = new Error("stopped")
  const controller = new AbortController()
  const url = await serve(t, () => controller.abort(reason))
  const http = client(t)
  await assert.rejects(http.request(url, { method: "GET", signal: controller.signal }), reason)
  await assert.rejects(http.request(url, { method: "GET", signal: controller.signal }), reason)
  http.close()
  await assert.rejects(http.request(url, { method: "GET" }), { code: "TIMED_OUT" })
})

test("closing ends what is under way", async (t) => {
  const http = client(t)
  const url = await serve(t, () => http.close())
  await assert.rejects(http.request(url, { method: "GET" }))
})

suite("TLS under a certificate authority of one's own", () => {
  const authority = issue({ subject: "authority", authority: true })
  const stranger = issue({ subject: "authority", authority: true })
  /** SubjectAltName (RFC 5280 §4.2.1.6) with one address. */
  const addressed = (...ip: number[]): NonNullable<Wish["extensions"]> => [
    { oid: "551d11", critical: false, value: Buffer.of(0x30, 0x06, 0x87, 0x04, ...ip) },
  ]
  const own: Wish = {
    subject: "server",
    issuer: authority,
    purposes: [serverAuth],
    extensions: addressed(127, 0, 0, 1),
  }

  interface Seen {
    readonly url: URL
    connections: number
    requests: number
  }
  async function serveTls(t: TestContext, wish: Wish): Promise<Seen> {
    const made = issue(wish)
    const key = made.key.export({ type: "pkcs8", format: "pem" })
    const server = createTlsServer({ key, cert: pemOf(made) }, (_, response) => {
      seen.requests++
      response.end("hello")
    })
    server.on("secureConnection", () => seen.connections++).on("tlsClientError", () => undefined)
    const { port } = await listen(t, server)
    const seen: Seen = { url: new URL(`https://127.0.0.1:${port}/`), connections: 0, requests: 0 }
    return seen
  }

  test("is believed with its certificate, as text or as bytes, and the connection is kept", async (t) => {
    const seen = await serveTls(t, own)
    for (const [at, ca] of [pemOf(authority), Buffer.from(pemOf(authority))].entries()) {
      const http = client(t, { ca })
      for (let i = 0; i < 2; i++) {
        const { status, body } = await http.request(seen.url, { method: "POST", body: "x" })
        assert.deepEqual([status, body.toString()], [200, "hello"])
      }
      assert.equal(seen.connections, at + 1)
    }
  })

  const past = new Date(Date.now() - 86_400_000)
  const refused: Record<string, [Wish, Partial<HttpClientOptions>, string]> = {
    "nobody has named it": [own, {}, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
    "another of the same name": [own, { ca: pemOf(stranger) }, "CERT_SIGNATURE_FAILURE"],
    "for another address": [
      { ...own, extensions: addressed(127, 0, 0, 9) },
      { ca: pemOf(authority) },
      "ERR_TLS_CERT_ALTNAME_INVALID",
    ],
    "run out": [{ ...own, from: new Date(0), to: past }, { ca: pemOf(authority) }, "CERT_HAS_EXPIRED"],
    "for signing code": [{ ...own, purposes: [codeSigning] }, { ca: pemOf(authority) }, "INVALID_PURPOSE"],
  }
  for (const [what, [wish, options, code]] of Object.entries(refused)) {
    test(`a certificate is not believed: ${what}`, async (t) => {
      const seen = await serveTls(t, wish)
      await assert.rejects(client(t, options).request(seen.url, { method: "GET" }), { code })
      assert.equal(seen.requests, 0)
    })
  }

  test("NODE_EXTRA_CA_CERTS names it for every client without one of its own", async (t) => {
    const { url } = await serveTls(t, own)
    const file = join(tempFolder(t), "ca.pem")
    writeFileSync(file, pemOf(authority))
    const program = `
      const { HttpClient } = await import(${JSON.stringify(import.meta.resolve("@weighlock/node"))})
      const http = new HttpClient({ totalMs: 60_000, maxBytes: 100 })
      const { status } = await http.request(new URL(process.argv[1]), { method: "GET" }).catch(({ code }) => ({ status: code }))
      console.log(status)
      http.close()`
    for (const [ca, status] of [
      [file, "200"],
      ["", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
    ] as const) {
      const env = { ...process.env, NODE_EXTRA_CA_CERTS: ca }
      const child = spawn(process.execPath, ["--input-type=module", "-e", program, url.href], { env, stdio: "pipe" })
      assert.equal((await text(child.stdout)).trim(), status)
    }
  })
})
