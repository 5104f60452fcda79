/** A registry as it is deployed: HTTPS with a private authority, tokens, an identity that is not its address. */
import assert from "node:assert/strict"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { after, before, test } from "node:test"
import { fileURLToPath } from "node:url"
import { Cli } from "../support/cli.ts"
import { startConnectProxy } from "../support/connect-proxy.ts"

const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
const cli = new Cli()
const hasOpenssl = spawnSync("openssl", ["version"]).status === 0
const skip = hasOpenssl || process.env["REQUIRE_OPENSSL"] === "1" ? false : "no openssl here"
let url = ""
let pin = ""

interface Ended {
  readonly code: number | null
  readonly error?: { readonly code: string; readonly message: string; readonly hint?: string }
  readonly [key: string]: unknown
}

/** The CLI in a process of its own, because Node reads NODE_EXTRA_CA_CERTS only at start. */
async function weighlock(env: Record<string, string>, ...argv: string[]): Promise<Ended> {
  const all = [
    main,
    ...argv,
    "--registry",
    url,
    "--json",
    ...(argv.includes("--trust") ? [] : ["--trust", "reg/trust.json"]),
  ]
  const child = spawn(process.execPath, all, {
    cwd: cli.folder,
    env: { ...process.env, ...cli.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  })
  let stdout = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve))
  return { code, ...(JSON.parse(stdout) as object) }
}

const token = { ci: "a-token-for-ci", reader: "a-token-for-reading" }
const hashed = (text: string): string => createHash("sha256").update(text).digest("hex")

before(async () => {
  if (skip !== false) return
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
  execFileSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "2",
      "-keyout",
      "tls.key",
      "-out",
      "tls.pem",
      ...subject,
    ],
    { cwd: cli.folder, stdio: "ignore" },
  )
  pin = String(
    (await cli.json("init", "reg", "--origin", "models.acme.example", "--label", "alice", "--no-passphrase"))["pin"],
  )
  const tokens = [
    { name: "ci", sha256: hashed(token.ci), scopes: ["publish", "read"] },
    { name: "reader", sha256: hashed(token.reader), scopes: ["read"] },
  ]
  writeFileSync(cli.path("tokens.json"), JSON.stringify({ tokens, anonymousRead: false }))
  mkdirSync(cli.path("model"))
  writeFileSync(cli.path("model", "large.bin"), randomBytes(20_000_000))
  const { announced } = await cli.start(
    "registry",
    "serve",
    "--data",
    "data",
    "--trust",
    "reg/trust.json",
    "--tokens",
    "tokens.json",
    "--tls-cert",
    "tls.pem",
    "--tls-key",
    "tls.key",
    "--log-level",
    "silent",
  )
  url = announced.url
})
after(() => cli.close())

const trusted = { NODE_EXTRA_CA_CERTS: cli.path("tls.pem") }

test("an unknown certificate authority is refused, and the hint names the remedy", { skip }, async () => {
  const { code, error } = await weighlock({}, "list")
  assert.deepEqual([code, error?.code], [6, "UNAVAILABLE"])
  assert.match(error?.hint ?? "", /NODE_EXTRA_CA_CERTS/)
})

test("no token, a wrong one, one without the scope", { skip }, async () => {
  assert.match(url, /^https:/)
  assert.equal((await weighlock(trusted, "list")).error?.code, "UNAUTHENTICATED")
  assert.equal((await weighlock({ ...trusted, WEIGHLOCK_TOKEN: "guess" }, "list")).code, 4)
  const read = await weighlock(
    { ...trusted, WEIGHLOCK_TOKEN: token.reader },
    "publish",
    "model",
    "--as",
    "acme/thing@1.0.0",
  )
  assert.deepEqual([read.code, read.error?.code], [4, "FORBIDDEN"])
})

test("publish with a token from a file, then pull by the pin of the trust root", { skip }, async () => {
  writeFileSync(cli.path("token"), `${token.ci}\n`)
  const published = await weighlock(
    { ...trusted, WEIGHLOCK_TOKEN_FILE: "token" },
    "publish",
    "model",
    "--as",
    "acme/thing@1.0.0",
  )
  assert.deepEqual([published.code, published["created"]], [0, true])
  const pulled = await weighlock(
    { ...trusted, WEIGHLOCK_TOKEN: token.reader },
    "pull",
    `acme/thing@${String(published["manifest"])}`,
    "-o",
    "out",
    "--trust",
    pin,
  )
  assert.deepEqual([pulled.code, pulled["verified"]], [0, true])
  assert.deepEqual(readFileSync(cli.path("out", "large.bin")), readFileSync(cli.path("model", "large.bin")))
})

test("publish and pull through HTTPS_PROXY; no_proxy goes past it", { skip }, async (t) => {
  const proxy = await startConnectProxy(t)
  const env = { ...trusted, WEIGHLOCK_TOKEN: token.ci, HTTPS_PROXY: proxy.url, no_proxy: "" }
  writeFileSync(cli.path("model", "large.bin"), randomBytes(20_000_000))
  const published = await weighlock(env, "publish", "model", "--as", "acme/thing@1.1.0")
  assert.deepEqual([published.code, published["created"]], [0, true])
  const before = proxy.connected.length
  assert.ok(before > 0)
  const pull = (to: string, more: Record<string, string>): Promise<Ended> =>
    weighlock({ ...env, WEIGHLOCK_CACHE: cli.path(`cache-${to}`), ...more }, "pull", "acme/thing@1.1.0", "-o", to)
  assert.deepEqual((await pull("proxied", {})).code, 0)
  assert.deepEqual(readFileSync(cli.path("proxied", "large.bin")), readFileSync(cli.path("model", "large.bin")))
  const after = proxy.connected.length
  assert.ok(after > before)
  assert.deepEqual((await pull("direct", { no_proxy: "127.0.0.1,localhost" })).code, 0)
  assert.equal(proxy.connected.length, after)
})
