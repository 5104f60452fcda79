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
    ...(argv.includes("--registry") ? [] : ["--registry", url]),
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
  const subject = [
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:proxied.acme.example",
  ]
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
  const { announced } = await cli.start(...serve("reg"))
  url = announced.url
})
after(() => cli.close())

function serve(name: string): string[] {
  const files = [
    "--trust",
    `${name}/trust.json`,
    "--tokens",
    "tokens.json",
    "--tls-cert",
    "tls.pem",
    "--tls-key",
    "tls.key",
  ]
  return ["registry", "serve", "--data", `${name}-data`, ...files, "--log-level", "silent"]
}

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

test(
  "publish and pull through HTTPS_PROXY; what is on this machine, and what NO_PROXY names, goes past it",
  { skip },
  async (t) => {
    const host = "proxied.acme.example"
    await cli.json("init", "proxied", "--origin", host, "--label", "bob", "--no-passphrase")
    const { announced } = await cli.start(...serve("proxied"), "--public-url", `https://${host}`)
    const proxy = await startConnectProxy(t, { [`${host}:443`]: new URL(announced.url).host })
    const env = { ...trusted, WEIGHLOCK_TOKEN: token.ci, HTTPS_PROXY: proxy.url, no_proxy: "" }
    const there = ["--registry", `https://${host}`, "--trust", "proxied/trust.json"]
    writeFileSync(cli.path("model", "large.bin"), randomBytes(20_000_000))
    const published = await weighlock(env, "publish", "model", "--as", "acme/thing@1.1.0", "--key", "bob", ...there)
    assert.deepEqual([published.code, published["created"]], [0, true])
    const before = proxy.connected.length
    assert.ok(before > 0)
    assert.equal((await weighlock(env, "pull", "acme/thing@1.1.0", "-o", "pulled", ...there)).code, 0)
    assert.deepEqual(readFileSync(cli.path("pulled", "large.bin")), readFileSync(cli.path("model", "large.bin")))
    const after = proxy.connected.length
    assert.ok(after > before)
    assert.deepEqual([...new Set(proxy.connected)], [`${host}:443`])

    assert.equal((await weighlock(env, "list")).code, 0) // https://localhost
    assert.equal((await weighlock({ ...env, no_proxy: ".acme.example" }, "list", ...there)).code, 6)
    assert.equal(proxy.connected.length, after)

    const { code, error } = await weighlock(env, "list", "--registry", "https://elsewhere.example")
    assert.deepEqual([code, error?.code], [6, "UNAVAILABLE"])
    assert.ok(error?.message.includes(`through the proxy ${proxy.url} (HTTPS_PROXY)`), error?.message)
    const nonsense = await weighlock({ ...env, HTTPS_PROXY: "nonsense" }, "list", ...there)
    assert.deepEqual([nonsense.code, nonsense.error?.code], [2, "USAGE"])
    assert.match(nonsense.error?.message ?? "", /^HTTPS_PROXY is not/)
  },
)
