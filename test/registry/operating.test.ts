/** What an operator sees and changes while a registry runs: tokens, its log, its health, and the database it leaves. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { existsSync, renameSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { type RegistryConfig, startRegistry } from "@weighlock/registry"
import { Cli } from "../support/cli.ts"
import { makeWorld, oneCall, quiet, sha256, signed, startPeer } from "./support.ts"

const tokensOf = (...tokens: string[]): string =>
  JSON.stringify({
    tokens: tokens.map((token) => ({ name: `${token}-name`, sha256: sha256(Buffer.from(token)), scopes: ["read"] })),
    anonymousRead: false,
  })
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
const statusOf = async (url: string, token: string): Promise<number> =>
  (await fetch(`${url}/api/v1/info`, { headers: { ...oneCall, ...bearer(token) } })).status

async function until(status: number, ask: () => Promise<number>): Promise<void> {
  for (let last = -1; last !== status; await pause(50)) last = await ask()
}

/** Collects what is logged. */
function listening(): {
  readonly lines: [string, Record<string, unknown>, string][]
  readonly logger: NonNullable<RegistryConfig["logger"]>
} {
  const lines: [string, Record<string, unknown>, string][] = []
  const at =
    (level: string) =>
    (about: Record<string, unknown>, text = ""): void =>
      void lines.push([level, about, text])
  return {
    lines,
    logger: { ...quiet, info: at("info"), error: at("error") } as NonNullable<RegistryConfig["logger"]>,
  }
}

test(
  "the token file is read again when it changes, also behind a link; one that is broken changes nothing",
  { timeout: 60_000 },
  async (t) => {
    const world = await makeWorld(t)
    const [one, two, path] = ["one.json", "two.json", "tokens.json"].map((name) => join(world.folder, name)) as [
      string,
      string,
      string,
    ]
    writeFileSync(one, tokensOf("a"))
    writeFileSync(two, tokensOf("b"))
    symlinkSync(one, path)
    const { lines, logger } = listening()
    const peer = await startPeer(t, { tokens: path, logger }, world)
    assert.deepEqual([await statusOf(peer.url, "a"), await statusOf(peer.url, "b")], [200, 401])
    // As Kubernetes swaps a secret: another link under the same name.
    symlinkSync(two, `${path}.new`)
    renameSync(`${path}.new`, path)
    await until(200, () => statusOf(peer.url, "b"))
    assert.equal(await statusOf(peer.url, "a"), 401)
    writeFileSync(two, "{")
    while (!lines.some(([level]) => level === "error")) await pause(50)
    assert.equal(await statusOf(peer.url, "b"), 200)
    unlinkSync(path)
    writeFileSync(path, tokensOf("c"))
    await until(200, () => statusOf(peer.url, "c"))
    assert.ok(!JSON.stringify(lines).includes(sha256(Buffer.from("c"))), "a hash of a token was logged")
  },
)

test("reload reads it at once", async (t) => {
  const world = await makeWorld(t)
  const path = join(world.folder, "tokens.json")
  writeFileSync(path, tokensOf("a"))
  const running = await startRegistry({
    data: join(world.folder, "data"),
    trust: world.trust,
    logger: quiet,
    tokens: path,
  })
  t.after(() => running.close())
  writeFileSync(path, tokensOf("b"))
  await running.reload()
  assert.deepEqual([await statusOf(running.url, "a"), await statusOf(running.url, "b")], [401, 200])
})

test(
  "SIGHUP has a registry read its tokens, and live on; SIGTERM leaves no WAL",
  { skip: process.platform === "win32" },
  async (t) => {
    const cli = new Cli()
    t.after(() => cli.close())
    await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
    writeFileSync(cli.path("tokens.json"), tokensOf("a"))
    const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
    const argv = ["registry", "serve", "--data", "data", "--trust", "reg/trust.json", "--tokens", "tokens.json"]
    const child = spawn(process.execPath, [main, ...argv, "--log-level", "silent", "--json"], {
      cwd: cli.folder,
      env: { ...process.env, ...cli.env },
      stdio: ["ignore", "pipe", "inherit"],
    })
    const line = await new Promise<string>((resolve) => createInterface({ input: child.stdout }).once("line", resolve))
    const { url } = JSON.parse(line) as { url: string }
    writeFileSync(cli.path("tokens.json"), tokensOf("b"))
    child.kill("SIGHUP")
    await until(200, () => statusOf(url, "b"))
    assert.equal(await statusOf(url, "a"), 401)
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
    child.kill("SIGTERM")
    assert.equal(await ended, 0)
    const wal = cli.path("data", "ledger.sqlite-wal")
    assert.ok(!existsSync(wal) || statSync(wal).size === 0, "the WAL has pages that the database lacks")
  },
)

test("the log names the token and the client's address, never the token", async (t) => {
  const world = await makeWorld(t)
  const path = join(world.folder, "tokens.json")
  writeFileSync(path, tokensOf("a-secret"))
  const { lines, logger } = listening()
  const peer = await startPeer(t, { tokens: path, logger }, world)
  await statusOf(peer.url, "a-secret")
  await statusOf(peer.url, "another")
  await fetch(`${peer.url}/healthz`, { headers: oneCall })
  const answered = (): Record<string, unknown>[] =>
    lines.flatMap(([, about, text]) => (text === "answered" ? [about] : []))
  while (answered().length < 3) await pause(20)
  assert.deepEqual(
    answered().map(({ route, status, token, address }) => [route, status, token, address]),
    [
      ["/api/v1/info", 200, "a-secret-name", "127.0.0.1"],
      ["/api/v1/info", 401, null, "127.0.0.1"],
      ["/healthz", 200, null, "127.0.0.1"],
    ],
  )
  assert.ok(!JSON.stringify(lines).includes('a-secret"'))
})

test("/readyz and the metrics tell the trust root's expiry, the disk, and how long answers take", async (t) => {
  const expires = new Date("2031-02-03T04:05:06Z")
  const world = await makeWorld(t, expires)
  const peer = await startPeer(t, {}, world)
  await peer.upload(Buffer.from("a model"))
  await peer.publish(await signed(world, [Buffer.from("a model")]))
  const { trust, disk, latency } = (await peer.call("GET", "/readyz")).json as unknown as {
    trust: object
    disk: { free: number }
    latency: { answers: number; p50: number; p99: number }
  }
  assert.deepEqual(trust, { version: 1, expires: expires.toISOString() })
  assert.ok(disk.free > 0 && Number.isSafeInteger(disk.free))
  assert.ok(latency.answers >= 3 && latency.p50 > 0 && latency.p99 >= latency.p50, JSON.stringify(latency))
  const text = (await peer.call("GET", "/metrics")).bytes.toString()
  assert.match(text, new RegExp(`^weighlock_trust_root_expires_seconds ${expires.getTime() / 1000}$`, "m"))
  assert.match(text, /^weighlock_disk_free_bytes [1-9]\d+$/m)
  const route = 'route="/api/v1/models/{namespace}/{name}/versions"'
  assert.match(text, /^# TYPE weighlock_http_request_seconds histogram$/m)
  assert.ok(text.includes(`weighlock_http_request_seconds_bucket{${route},le="+Inf"} 1\n`), text)
  assert.ok(text.includes(`weighlock_http_request_seconds_count{${route}} 1\n`), text)
})

test("a registry that ends leaves a database that is whole without its WAL, also while somebody else has it open", async (t) => {
  const world = await makeWorld(t)
  const peer = await startPeer(t, {}, world)
  await peer.upload(Buffer.from("a model"))
  assert.equal((await peer.publish(await signed(world, [Buffer.from("a model")]))).status, 201)
  const path = join(world.folder, "data", "ledger.sqlite")
  const Database = createRequire(import.meta.resolve("@weighlock/registry"))("better-sqlite3") as new (
    path: string,
    options: { readonly: true },
  ) => { prepare(sql: string): { get(): unknown }; close(): void }
  const other = new Database(path, { readonly: true })
  other.prepare("SELECT count(*) FROM sqlite_schema").get()
  t.after(() => other.close())
  assert.ok(statSync(`${path}-wal`).size > 0)
  await peer.close()
  assert.equal(statSync(`${path}-wal`).size, 0)
  other.close()
  const again = await startPeer(t, {}, world)
  assert.equal((await again.call("GET", "/api/v1/models/acme/mnist")).status, 200)
})
