/** What a registry refuses to start with, and what it says when it does. */
import assert from "node:assert/strict"
import { generateKeyPairSync } from "node:crypto"
import { chmod, readFile, writeFile } from "node:fs/promises"
import { get } from "node:http"
import { join } from "node:path"
import { execFileSync } from "node:child_process"
import { test } from "node:test"

import { type RegistryConfig, RegistryError, productVersion, startRegistry } from "@weighlock/registry"

import { makeWorld, quiet, startPeer } from "./support.ts"

const pem = (type: "ed25519" | "ed448"): string => {
  const { privateKey } = type === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("ed448")
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString()
}

test("a configuration that is not safe or not sound is refused with USAGE", async (t) => {
  const world = await makeWorld(t)
  const file = async (name: string, text: string, mode = 0o600): Promise<string> => {
    const path = join(world.folder, name)
    await writeFile(path, text, { mode })
    await chmod(path, mode)
    return path
  }
  const token = `{"name":"ci","sha256":"${"a".repeat(64)}","scopes":["publish"]}`
  const tokens = await file("tokens.json", `{"tokens":[${token}]}`)
  const ownLogKey = await readFile(join(world.folder, "log-key.pem"), "utf8")
  const cases: [string, Partial<RegistryConfig>][] = [
    ["all interfaces without tokens", { host: "0.0.0.0", publicUrl: "http://x.example" }],
    ["a public address without tokens", { host: "192.0.2.1" }],
    ["a name without tokens", { host: "models.acme.example" }],
    ["all interfaces without a public URL", { host: "0.0.0.0", tokens }],
    ["a port beyond", { port: 65_536 }],
    ["half a port", { port: 1.5 }],
    ["a public URL with a path", { publicUrl: "https://x.example/registry" }],
    ["a public URL with a password", { publicUrl: "https://u:p@x.example" }],
    ["a public URL of another scheme", { publicUrl: "ftp://x.example" }],
    ["a public URL that is none", { publicUrl: "x.example" }],
    ["no trust file", { trust: join(world.folder, "nothing.json") }],
    ["no log key", { logKey: join(world.folder, "nothing.pem") }],
    ["a log key for others to read", { logKey: await file("open.pem", ownLogKey, 0o640) }],
    ["a stranger's log key", { logKey: await file("stranger.pem", pem("ed25519")) }],
    ["a log key of another kind", { logKey: await file("ed448.pem", pem("ed448")) }],
    [
      "a log key that is none",
      { logKey: await file("none.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n") },
    ],
    ["trust bytes without a log key", { trust: await readFile(world.trust) }],
    ["no token file", { tokens: join(world.folder, "nothing.json") }],
    ["an empty token file", { tokens: await file("t1.json", '{"tokens":[]}') }],
    [
      "a token in the clear",
      { tokens: await file("t2.json", '{"tokens":[{"name":"ci","token":"secret","scopes":["publish"]}]}') },
    ],
    ["an unknown scope", { tokens: await file("t3.json", `{"tokens":[${token.replace("publish", "admin")}]}`) }],
    ["a misspelt member", { tokens: await file("t4.json", `{"tokens":[${token}],"anonymousread":false}`) }],
    ["TLS files that are none", { tls: { cert: world.trust, key: world.trust } }],
  ]
  for (const [name, config] of cases) {
    const start = startRegistry({ data: join(world.folder, "data"), trust: world.trust, logger: quiet, ...config })
    await assert.rejects(start, { code: "USAGE" }, name)
  }
})

test("a refused token file is not quoted", async (t) => {
  const world = await makeWorld(t)
  const tokens = join(world.folder, "tokens.json")
  await writeFile(tokens, '{"tokens":[{"name":"ci","token":"hunter2"}]}')
  const error = await startRegistry({
    data: join(world.folder, "data"),
    trust: world.trust,
    logger: quiet,
    tokens,
  }).catch((each: unknown) => each)
  assert.ok(error instanceof RegistryError)
  assert.ok(!`${error.message} ${error.hint}`.includes("hunter2"))
})

test("a data folder belongs to one trust root", async (t) => {
  const peer = await startPeer(t)
  await peer.close()
  const other = await makeWorld(t)
  const start = startRegistry({ data: join(peer.world.folder, "data"), trust: other.trust, logger: quiet })
  await assert.rejects(start, { code: "USAGE" })
  assert.equal((await (await startPeer(t, {}, peer.world)).call("GET", "/readyz")).status, 200)
})

test("a port that is taken is USAGE, and the folder is let go", async (t) => {
  const peer = await startPeer(t)
  const world = await makeWorld(t)
  const port = Number(new URL(peer.url).port)
  await assert.rejects(startRegistry({ data: join(world.folder, "data"), trust: world.trust, logger: quiet, port }), {
    code: "USAGE",
  })
  await startPeer(t, {}, world)
})

test("grants point to the public URL", async (t) => {
  const peer = await startPeer(t, { publicUrl: "https://models.acme.example" })
  const body = { files: [{ sha256: "0".repeat(64), size: 1 }] }
  const { json } = await peer.call("POST", "/api/v1/uploads", { body })
  assert.equal(json.files[0].grants[0].url, `https://models.acme.example/api/v1/uploads/${"0".repeat(64)}/parts/1`)
})

test("the configuration is printed without secrets", async (t) => {
  const world = await makeWorld(t)
  const tokens = join(world.folder, "tokens.json")
  await writeFile(tokens, `{"tokens":[{"name":"ci","sha256":"${"a".repeat(64)}","scopes":["publish"]}]}`)
  const lines: unknown[][] = []
  const logger = { ...quiet, info: (...args: unknown[]) => void lines.push(args) } as typeof quiet
  await startPeer(t, { tokens, logger }, world)
  const text = JSON.stringify(lines)
  assert.match(text, /registry started/)
  assert.match(text, /models\.acme\.example\/log\+/)
  assert.ok(!text.includes("a".repeat(64)) && !text.includes("PRIVATE"))
})

test("TLS is served from files", async (t) => {
  const world = await makeWorld(t)
  const [key, cert] = [join(world.folder, "tls.key"), join(world.folder, "tls.crt")]
  try {
    const words = [
      "req",
      "-x509",
      "-newkey",
      "ed25519",
      "-nodes",
      "-keyout",
      key,
      "-out",
      cert,
      "-days",
      "1",
      "-subj",
      "/CN=localhost",
    ]
    execFileSync("openssl", words, { stdio: "ignore" })
  } catch {
    return t.skip("no openssl command")
  }
  const peer = await startPeer(t, { tls: { cert, key } }, world)
  assert.match(peer.url, /^https:/)
  const { get: getTls } = await import("node:https")
  const status = await new Promise((resolve, reject) => {
    getTls(`${peer.url}/healthz`, { rejectUnauthorized: false }, (response) =>
      resolve(response.resume().statusCode),
    ).on("error", reject)
  })
  assert.equal(status, 200)
  await assert.rejects(new Promise((_, reject) => get(peer.url.replace("https", "http")).on("error", reject)))
})

test("close lets an upload in flight finish, and cuts what does not end", async (t) => {
  const peer = await startPeer(t, { timeouts: { drain: 500 } })
  const stuck = peer.raw(
    "POST /api/v1/uploads HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n",
  )
  await new Promise((resolve) => setTimeout(resolve, 50))
  await peer.close()
  await stuck
})

test("the registry calls itself by its package's version", async () => {
  const text = await readFile(new URL("../../packages/registry/package.json", import.meta.url), "utf8")
  assert.equal(productVersion, (JSON.parse(text) as { version: string }).version)
})

for (const [days, warnings] of [
  [365, 0],
  [10, 1],
  [-1, 1],
] as const) {
  test(`a trust root with ${days} days left: ${warnings} warning, and it serves`, async (t) => {
    const lines: unknown[] = []
    const logger = { ...quiet, warn: (...all: unknown[]) => void lines.push(all) } as never
    const peer = await startPeer(t, { logger }, await makeWorld(t, new Date(Date.now() + days * 86_400_000)))
    assert.equal(lines.length, warnings)
    assert.equal((await peer.call("GET", "/readyz")).status, 200)
  })
}
