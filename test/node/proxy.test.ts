/** Which proxy leads where, and what is never shown to one. */
import assert from "node:assert/strict"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { test, type TestContext } from "node:test"
import { HttpClient, proxyFor } from "@weighlock/node"
import { ecKey, issue, pemOf, serverAuth } from "../support/certificate.ts"
import { startConnectProxy } from "../support/connect-proxy.ts"

const to = (target: string, env: Record<string, string>): string | null =>
  proxyFor(new URL(target), env)?.url.href ?? null
const all = { HTTPS_PROXY: "http://proxy.example:3128", HTTP_PROXY: "http://plain.example:3128" }

test("https goes through HTTPS_PROXY, http through HTTP_PROXY; lower case goes first; empty is none", () => {
  assert.equal(to("https://a.example/x", all), "http://proxy.example:3128/")
  assert.equal(to("http://a.example/x", all), "http://plain.example:3128/")
  assert.equal(
    to("https://a.example/", { ...all, https_proxy: "https://me:secret@p.example" }),
    "https://me:secret@p.example/",
  )
  assert.equal(to("https://a.example/", { ...all, https_proxy: "" }), null)
  assert.equal(to("https://a.example/", {}), null)
  assert.equal(to("https://a.example/", { HTTPS_PROXY: "p.example:3128" }), "http://p.example:3128/")
  assert.equal(to("https://a.example/", { HTTPS_PROXY: " http://p.example:3128\n" }), "http://p.example:3128/")
  assert.equal(to("https://a.example/", { HTTP_PROXY: "http://p.example:3128" }), null)
})

test("this machine is never asked for through a proxy", () => {
  for (const host of ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1", "[::1]:8443", "[::ffff:127.0.0.1]"])
    for (const scheme of ["http", "https"]) assert.equal(to(`${scheme}://${host}/`, all), null, host)
  for (const host of ["127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]"])
    assert.notEqual(to(`https://${host}/`, all), null, host)
})

const exempt: readonly (readonly [list: string, target: string, isExempt: boolean])[] = [
  ["*", "https://a.example/", true],
  ["a.example", "https://a.example/", true],
  ["A.Example", "https://a.example/", true],
  ["a.example", "https://sub.a.example/", true],
  [".a.example", "https://sub.a.example/", true],
  ["*.a.example", "https://sub.a.example/", true],
  ["a.example", "https://nota.example/", false],
  [".a.example", "https://nota.example/", false],
  ["other.example, a.example", "https://a.example/", true],
  ["other.example a.example", "https://a.example/", true],
  ["a.example:8443", "https://a.example:8443/", true],
  ["a.example:8443", "https://a.example/", false],
  ["a.example:443", "https://a.example/", true],
  ["10.0.0.0/8", "https://10.1.2.3/", true],
  ["10.0.0.0/8", "https://11.1.2.3/", false],
  ["10.1.2.3", "https://10.1.2.3:9000/", true],
  ["fd00::/8", "https://[fd00::1]/", true],
  ["[fd00::1]:443", "https://[fd00::1]/", true],
  ["10.0.0.0/99", "https://10.1.2.3/", false],
  ["10.0.0.0/8", "https://ten.example/", false],
  ["0.1", "https://10.0.0.1/", false],
  ["", "https://a.example/", false],
  [",, ,", "https://a.example/", false],
  [".", "https://a.example/", false],
]
for (const [list, target, isExempt] of exempt)
  test(`NO_PROXY=${JSON.stringify(list)}: ${target} ${isExempt ? "directly" : "through the proxy"}`, () => {
    assert.equal(to(target, { ...all, NO_PROXY: list }) === null, isExempt)
    assert.equal(to(target, { ...all, no_proxy: list }) === null, isExempt)
  })

test("what is no proxy's address is refused, and the variable is named, never its value", () => {
  for (const value of [
    "nonsense",
    "secret word",
    "socks5://p.example:1080",
    "http://",
    "ftp://p.example",
    "://x",
    "p.example",
  ])
    for (const name of ["HTTPS_PROXY", "https_proxy"])
      assert.throws(
        () => to("https://a.example/", { [name]: value }),
        ({ code, message }: { code: string; message: string }) =>
          code === "PROXY_INVALID" && message.startsWith(`${name} is not`) && !message.includes(value),
        value,
      )
  assert.equal(to("https://localhost/", { HTTPS_PROXY: "nonsense" }), null)
})

function setProxy(t: TestContext, address: string): void {
  const before = { ...process.env }
  t.after(() => (process.env = before))
  Object.assign(process.env, { HTTPS_PROXY: address, https_proxy: address, NO_PROXY: "", no_proxy: "" })
}

test("a small request goes through the proxy, with its own TLS inside", async (t) => {
  const key = ecKey()
  const cert = pemOf(issue({ subject: "bucket.example", key, purposes: [serverAuth], names: ["bucket.example"] }))
  const server = createServer({ key: key.export({ type: "pkcs8", format: "pem" }), cert }, (request, response) =>
    response.end(`${request.headers.host} ${request.url}`),
  )
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => server.close().closeAllConnections())
  const { port } = server.address() as AddressInfo
  const proxy = await startConnectProxy(t, { "bucket.example:443": `127.0.0.1:${port}` })
  setProxy(t, proxy.url)
  const http = new HttpClient({ totalMs: 60_000, maxBytes: 1000, ca: cert })
  t.after(() => http.close())
  for (let round = 0; round < 2; round++) {
    const { status, body } = await http.request(new URL("https://bucket.example/a?b"), { method: "GET" })
    assert.deepEqual([status, body.toString()], [200, "bucket.example /a?b"])
  }
  assert.deepEqual(proxy.connected, ["bucket.example:443"], "the tunnel is kept")
})

test("a proxy that refuses, or is not there, is named, without its password", async (t) => {
  const proxy = await startConnectProxy(t, {})
  const http = new HttpClient({ totalMs: 60_000, maxBytes: 1000 })
  t.after(() => http.close())
  for (const address of [proxy.url, "http://127.0.0.1:1"]) {
    setProxy(t, address.replace("//", "//me:hush@"))
    await assert.rejects(
      http.request(new URL("https://bucket.example/"), { method: "GET" }),
      ({ code, message }: { code: string; message: string }) =>
        code === "PROXY_FAILED" && message.includes(`the proxy ${address} (https_proxy)`) && !message.includes("hush"),
    )
  }
})
