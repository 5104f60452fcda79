/** This machine or not, in every spelling, and what every part that asks does with it. */
import assert from "node:assert/strict"
import { createServer, type IncomingMessage, request } from "node:http"
import type { AddressInfo } from "node:net"
import { test } from "node:test"
import { fetchModel } from "@weighlock/client"
import { isLoopbackAuthority, isLoopbackHost } from "@weighlock/node"
import { Cli } from "../support/cli.ts"
import { reference, sharedShop } from "../support/published.ts"
import { startPeer } from "../registry/support.ts"

const loopback = [
  "localhost",
  "LOCALHOST",
  "127.0.0.1",
  "127.255.0.9",
  "::1",
  "[::1]",
  "0:0:0:0:0:0:0:1",
  "[::ffff:127.0.0.1]",
]
const elsewhere = [
  "",
  " localhost",
  "localhost ",
  "localhost.",
  "[localhost]",
  "a.localhost",
  "localhost.evil.example",
  "xlocalhost",
  "127.1",
  "127.0.1",
  "0x7f.1",
  "0x7f000001",
  "2130706433",
  "0177.0.0.1",
  "127.0.0.01",
  "127.0.0.256",
  "127.999.1.1",
  "127.0.0.1.evil.example",
  "127.0.0.1.",
  "1127.0.0.1",
  "[127.0.0.1]",
  "127.0.0.1%lo",
  "128.0.0.1",
  "0.0.0.0",
  "::",
  "::2",
  "[::1",
  "::1]",
  "[[::1]]",
  "[::1%lo]",
  "::1%25lo",
  "::127.0.0.1",
  "64:ff9b::127.0.0.1",
  "[::ffff:128.0.0.1]",
  "127.0.0.1:80",
  "localhost:80",
  "[::1]:80",
  "127.0.0.1@evil.example",
  "127.0.0.1/",
  "127.0.0.1\\",
  "１27.0.0.1",
  "local\u0000host",
]
for (const host of loopback) test(`loopback: ${host}`, () => assert.equal(isLoopbackHost(host), true))
for (const host of elsewhere)
  test(`not loopback: ${JSON.stringify(host)}`, () => assert.equal(isLoopbackHost(host), false))

test("with a port, as a Host header has it", () => {
  for (const host of ["localhost", "127.0.0.1", "[::1]", "LocalHost"])
    for (const port of ["", ":1", ":65535"]) assert.ok(isLoopbackAuthority(host + port), host + port)
  const bad = [
    "",
    ":80",
    "::1",
    "localhost:",
    "localhost:x",
    "localhost:80:80",
    "localhost:123456",
    "127.0.0.1:80 ",
    "u@localhost",
    "[::1]80",
    "localhost,evil",
  ]
  for (const authority of bad) assert.equal(isLoopbackAuthority(authority), false, authority)
})

test("a registry without tokens answers a Host of this machine, in every spelling of one, and no other", async (t) => {
  const { url } = await startPeer(t)
  const { port } = new URL(url)
  const ask = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const sent = request(
        { host: "127.0.0.1", port, path: "/api/v1/info", headers: { host } },
        (answer: IncomingMessage) => resolve(answer.resume().statusCode),
      )
      sent.on("error", reject).end()
    })
  for (const host of ["localhost", `LOCALHOST:${port}`, "127.0.0.2", `[::1]:${port}`, "[::ffff:127.0.0.1]"])
    assert.equal(await ask(host), 200, host)
  for (const host of [
    "127.0.0.1.evil.example",
    "127.999.1.1",
    "127.1",
    "localhost.",
    "evil.example",
    `[::1%lo]:${port}`,
  ])
    assert.equal(await ask(host), 421, host)
})

test("a registry without tokens listens on no other address, a web hook in the clear is on none", async (t) => {
  const cli = new Cli()
  t.after(() => cli.close())
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  for (const host of ["0.0.0.0", "::", "127.1", "localhost.", "localhost.evil.example", "::1%lo"]) {
    const serve = ["registry", "serve", "--data", "data", "--trust", "reg/trust.json", "--port", "0", "--host", host]
    assert.equal((await cli.refusal(...serve)).code, "USAGE", host)
  }
  for (const hook of [
    "http://127.0.0.1.evil.example/",
    "http://localhost./",
    "http://10.0.0.1/",
    "http://a.localhost/",
  ]) {
    const watch = [
      "monitor",
      "--once",
      "--trust",
      "reg/trust.json",
      "--registry",
      "http://localhost:1",
      "--webhook",
      hook,
    ]
    assert.equal((await cli.refusal(...watch)).code, "USAGE", hook)
  }
})

test("what goes over loopback in the clear, the token with it, is never told to a proxy", async (t) => {
  const shop = await sharedShop()
  let asked = 0
  const proxy = createServer((_, response) => response.writeHead(502).end())
  proxy.on("connection", () => (asked += 1))
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  const before = { ...process.env }
  t.after(() => {
    process.env = before
    proxy.close()
    proxy.closeAllConnections()
  })
  const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  Object.assign(process.env, {
    HTTP_PROXY: address,
    http_proxy: address,
    HTTPS_PROXY: address,
    NO_PROXY: "",
    no_proxy: "",
  })
  await fetchModel(reference, shop.options)
  assert.equal(asked, 0)
})
