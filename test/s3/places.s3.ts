/** Where a bucket may be: below a host's path or as its first label, behind HTTPS with a private authority, at two addresses. */
import assert from "node:assert/strict"
import { execFile, execFileSync, spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import dns from "node:dns"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { request as httpRequest } from "node:http"
import { request as httpsRequest } from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, mock, test, type TestContext } from "node:test"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

import { modelHasher } from "@weighlock/manifest/node"
import type { Grant } from "@weighlock/registry"
import { S3BlobStore, type S3Config, openS3Place, parseS3Place, probeBucket } from "@weighlock/registry/s3"

import { most, parcel, read } from "../contract/blob-store.ts"
import { Cli } from "../support/cli.ts"
import { startConnectProxy } from "../support/connect-proxy.ts"
import { Rgw, noRgw } from "../support/rgw.ts"

const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
const hasOpenssl = spawnSync("openssl", ["version"]).status === 0
const skip = noRgw() || (hasOpenssl || process.env["REQUIRE_OPENSSL"] === "1" ? false : "no openssl here")
const folder = mkdtempSync(join(tmpdir(), "weighlock-tls-"))
const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")]
let rgw: Rgw | undefined

before(async () => {
  if (skip !== false) return
  const names = "subjectAltName=DNS:s3.example,DNS:models.s3.example,IP:127.0.0.1"
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
  const subject = ["-subj", "/CN=localhost", "-addext", names]
  execFileSync("openssl", ["req", "-x509", ...kind, ...subject, "-keyout", key, "-out", cert], { stdio: "pipe" })
  rgw = await Rgw.start({ tls: { cert, key }, name: "s3.example" })
  rgw.useAccount()
  await rgw.createBucket("models")
  // What is asked without a proxy comes here as well.
  const lookup = dns.lookup as (...all: unknown[]) => void
  mock.method(dns, "lookup", (name: string, ...rest: unknown[]) => {
    lookup(name.endsWith("s3.example") ? "127.0.0.1" : name, ...rest)
  })
})
after(async () => {
  await rgw?.stop()
  rmSync(folder, { recursive: true })
})

async function roundTrip(t: TestContext, config: S3Config): Promise<string> {
  const hasher = modelHasher(2)
  const store = new S3BlobStore(await openS3Place(config), hasher)
  t.after(async () => {
    store.close()
    await hasher.close()
  })
  const sent = parcel(9 * 2 ** 20)
  for (const grant of await store.declare(sent.upload, most)) assert.equal(await put(grant, sent.part(grant.part)), 200)
  assert.deepEqual(await store.complete(sent.upload.sha256), sent.upload)
  assert.deepEqual(await read(store, sent.upload.sha256), sent.bytes)
  return await store.link(sent.upload.sha256)
}

function put({ url, headers }: Grant, bytes: Uint8Array): Promise<number> {
  const send = url.startsWith("https:") ? httpsRequest : httpRequest
  const ca = url.startsWith("https:") ? { ca: readFileSync(cert) } : {}
  return new Promise((resolve, reject) => {
    const length = { "content-length": bytes.length }
    const request = send(url, { method: "PUT", headers: { ...headers, ...length }, ...ca }, (answer) => {
      answer.resume().on("end", () => resolve(answer.statusCode ?? 0))
    })
    request.on("error", reject).end(bytes)
  })
}

const port = (): string => new URL(rgw?.endpoint ?? "").port

test("the bucket is the first label of the host", { skip }, async (t) => {
  const config = { store: "s3://models/a", endpoint: `http://s3.example:${port()}`, virtualHosted: true }
  const link = await roundTrip(t, config)
  assert.equal(new URL(link).host, `models.s3.example:${port()}`)
  assert.deepEqual(
    (await probeBucket(parseS3Place(config))).filter(({ state }) => state === "problem"),
    [],
  )
})

test("HTTPS with a private authority, by path and by label", { skip }, async (t) => {
  const endpoint = `https://s3.example:${rgw?.tlsPort}`
  for (const virtualHosted of [false, true]) {
    const link = await roundTrip(t, { store: "s3://models/b", endpoint, virtualHosted, ca: cert })
    assert.equal(new URL(link).protocol, "https:")
  }
})

test("HTTPS whose authority nobody named is UNAVAILABLE", { skip }, async (t) => {
  const config = { store: "s3://models/b", endpoint: `https://s3.example:${rgw?.tlsPort}` }
  await assert.rejects(roundTrip(t, config), { code: "UNAVAILABLE", message: /SELF_SIGNED/ })
})

test(
  "a proxy on the way to the bucket, the registry's and its clients': HTTPS_PROXY, and no_proxy past it",
  { skip },
  async (t) => {
    const host = `s3.example:${rgw?.tlsPort}`
    const proxy = await startConnectProxy(t, { [host]: `127.0.0.1:${rgw?.tlsPort}` })
    const proxied = { HTTPS_PROXY: proxy.url, no_proxy: "" }
    const cli = new Cli()
    t.after(() => cli.close())
    await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
    const store = ["--store", "s3://models/d", "--s3-endpoint", `https://${host}`, "--s3-ca", cert]
    const serve = [
      "registry",
      "serve",
      "--data",
      "data",
      "--trust",
      "reg/trust.json",
      "--log-level",
      "silent",
      ...store,
    ]
    const { announced } = await inEnvironment(proxied, () => cli.start(...serve))
    assert.ok(proxy.connected.length > 0)
    const bytes = randomBytes(20_000_000)
    mkdirSync(cli.path("model"))
    writeFileSync(cli.path("model", "large.bin"), bytes)
    const env = { ...process.env, ...cli.env, NODE_EXTRA_CA_CERTS: cert, ...proxied }
    const weighlock = async (argv: readonly string[], more: Record<string, string> = {}): Promise<number> => {
      const before = proxy.connected.length
      const to = ["--registry", announced.url, "--trust", "reg/trust.json"]
      // In a process of its own: Node reads NODE_EXTRA_CA_CERTS at its start.
      await promisify(execFile)(process.execPath, [main, ...argv, ...to], { cwd: cli.folder, env: { ...env, ...more } })
      return proxy.connected.length - before
    }
    assert.ok((await weighlock(["publish", "model", "--as", "acme/thing@1.0.0"])) > 0)
    assert.ok((await weighlock(["pull", "acme/thing@1.0.0", "-o", "proxied"])) > 0)
    assert.deepEqual(readFileSync(cli.path("proxied", "large.bin")), bytes)
    assert.deepEqual([...new Set(proxy.connected)], [host])
    const before = proxy.connected.length
    const past = { no_proxy: "s3.example", WEIGHLOCK_CACHE: cli.path("another-cache") }
    await assert.rejects(weighlock(["pull", "acme/thing@1.0.0", "-o", "direct"], past), { code: 6 })
    assert.equal(proxy.connected.length, before)
  },
)

/** The registry runs in this process, and reads the environment when it opens its store. */
async function inEnvironment<T>(more: Readonly<Record<string, string>>, run: () => Promise<T>): Promise<T> {
  const before = { ...process.env }
  Object.assign(process.env, more)
  try {
    return await run()
  } finally {
    for (const name of Object.keys(more)) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
  }
}

test("clients are sent to the public address", { skip }, async (t) => {
  const endpoint = `http://s3.example:${port()}`
  const link = await roundTrip(t, { store: "s3://models/c", endpoint, publicEndpoint: `http://127.0.0.1:${port()}` })
  assert.equal(new URL(link).hostname, "127.0.0.1")
})
