/** A monitor that runs on: what it tells, whom, how often; and that a signal ends it without losing its place. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { after, test, type TestContext } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Cli } from "../support/cli.ts"

const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
const cli = new Cli()
after(() => cli.close())
mkdirSync(cli.path("model"))
writeFileSync(cli.path("model", "a.txt"), "a model")
await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
const stranger = String((await cli.json("key", "new", "bob", "--no-passphrase"))["keyid"])
const serving = ["registry", "serve", "--data", "data", "--trust", "reg/trust.json", "--log-level", "silent"]
const { announced } = await cli.start(...serving)
cli.env["WEIGHLOCK_TRUST"] = cli.path("reg", "trust.json")
cli.env["WEIGHLOCK_REGISTRY"] = announced.url
await publish("1.0.0")

async function publish(version: string): Promise<void> {
  await cli.json("publish", "model", "--as", `acme/thing@${version}`, "--key", "alice")
}

/** acme/* belongs to someone who knows bob's key only: everything is an alert. */
const watching = (cursor: string, ...rest: string[]): string[] =>
  ["monitor", "--own", "acme/*", "--known", stranger, "--cursor", cli.path(cursor)].concat(rest)

function program(name: string, lines: string): string {
  writeFileSync(cli.path(name), `#!/bin/sh\n${lines}\n`, { mode: 0o755 })
  return cli.path(name)
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 150_000; !holds(); await pause(50))
    if (Date.now() > deadline) throw new Error(`never: ${what}`)
}

const lines = (path: string): { id: string }[] =>
  existsSync(path)
    ? readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as { id: string })
    : []

/** The next run begins with the first alert. */
async function assertNotYetTold(cursor: string): Promise<void> {
  const { code, stdout } = await cli.run(...watching(cursor, "--once"))
  assert.equal(code, 0)
  assert.equal((JSON.parse(stdout.split("\n")[0] ?? "") as { id: string }).id, "UNKNOWN_KEY:2")
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} ends it, and the next one goes on from there`, async () => {
    const heard = cli.path(`${signal}.txt`)
    const page = program(`page ${signal}; exit 1`, `cat >> '${heard}'`) // a name that a shell would take apart
    const argv = watching(`${signal}.cursor`, "--exec", page, "--interval", "1s", "--json")
    const run = async (told: number): Promise<{ code: unknown; first: { pid: number; cursor: string } }> => {
      const child = spawn(process.execPath, [main, ...argv], {
        cwd: cli.folder,
        env: { ...process.env, ...cli.env },
        stdio: ["ignore", "pipe", "inherit"],
      })
      const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string]
      const first = JSON.parse(line) as { pid: number; cursor: string }
      await until(`${told} alerts`, () => lines(heard).length >= told && existsSync(first.cursor))
      await pause(300) // time to save, and to tell twice if it would
      process.kill(first.pid, signal)
      const [code] = (await once(child, "close")) as [number | null]
      return { code, first }
    }
    const before = lines(heard).length
    const { code, first } = await run(before + 1)
    assert.equal(code, signal === "SIGTERM" ? 0 : 130)
    assert.equal(first.cursor, cli.path(`${signal}.cursor`))
    const told = lines(heard)
    await publish(signal === "SIGTERM" ? "1.1.0" : "1.2.0")
    await run(told.length + 1)
    assert.equal(lines(heard).length, told.length + 1, "nothing is told twice")
    assert.equal(new Set(lines(heard).map(({ id }) => id)).size, told.length + 1)
  })
}

interface Hook {
  readonly url: string
  readonly posts: { readonly body: string; readonly request: IncomingMessage }[]
}

/** Answers with these statuses, then 200 for ever. */
async function hook(t: TestContext, ...statuses: number[]): Promise<Hook> {
  const posts: Hook["posts"] = []
  const server = createServer((request, answer) => {
    let body = ""
    request.setEncoding("utf8").on("data", (text: string) => (body += text))
    request.on("end", () => {
      posts.push({ body, request })
      answer.writeHead(statuses.shift() ?? 200, { location: "/elsewhere" }).end("thanks")
    })
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  t.after(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, posts }
}

test("a web hook gets each alert as JSON, asked again where that may help", async (t) => {
  const { url, posts } = await hook(t, 500, 429)
  const report = await cli.json(...watching("hook.cursor", "--once", "--webhook", url))
  const ids = posts.map(({ body }) => (JSON.parse(body) as { id: string }).id)
  assert.equal(posts[0]?.request.headers["content-type"], "application/json")
  assert.equal(posts[0]?.request.method, "POST")
  assert.equal(ids[0], ids[1])
  assert.equal(ids[1], ids[2])
  assert.equal(report["alerts"], new Set(ids).size)
  // Each try of one alert has one key, and each alert its own, in a later run too.
  const keysOf = (): string[] => posts.map(({ request }) => String(request.headers["idempotency-key"]))
  const byId = (): Set<string> => new Set(ids.map((id, at) => `${id} ${keysOf()[at]}`))
  const before = byId()
  for (const key of keysOf()) assert.match(key, /^"[0-9a-f]{32}"$/)
  assert.deepEqual([before.size, new Set(keysOf()).size], [new Set(ids).size, new Set(ids).size])
  await cli.json(...watching("hook-again.cursor", "--once", "--webhook", url))
  const again = posts.slice(ids.length).map(({ body, request }) => {
    return `${(JSON.parse(body) as { id: string }).id} ${String(request.headers["idempotency-key"])}`
  })
  assert.deepEqual(new Set(again), before)
})

test("a web hook that breaks the connection after it has read: the same key again", async (t) => {
  const posts: (string | undefined)[] = []
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      posts.push(request.headers["idempotency-key"] as string | undefined)
      if (posts.length === 2) request.socket.resetAndDestroy()
      else response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const { alerts } = await cli.json(...watching("reset.cursor", "--once", "--webhook", url))
  assert.ok(posts.every((key) => key !== undefined))
  assert.equal(posts[1], posts[2])
  assert.deepEqual([posts.length, new Set(posts).size], [Number(alerts) + 1, alerts])
})

for (const status of [302, 403, 404]) {
  test(`a web hook that answers ${status} has not heard it: once asked, the cursor stays`, async (t) => {
    const { url, posts } = await hook(t, status)
    const cursor = `hook-${status}.cursor`
    const refusal = await cli.refusal(...watching(cursor, "--once", "--webhook", url))
    assert.deepEqual(refusal, { exit: 6, code: "UNAVAILABLE" })
    assert.equal(posts.length, 1)
    assert.equal(posts[0]?.request.url, "/hook")
    const { alerts } = await cli.json(...watching(cursor, "--once", "--webhook", url))
    assert.equal(alerts, new Set(posts.slice(1).map(({ body }) => (JSON.parse(body) as { id: string }).id)).size)
  })
}

test("the hook's address may stand in the environment, and is never printed whole", async () => {
  const secret = { WEIGHLOCK_WEBHOOK: "http://127.0.0.1:9/token-in-the-path" }
  Object.assign(cli.env, secret)
  const { code, stdout, stderr } = await cli.run(...watching("secret.cursor", "--once"))
  cli.env["WEIGHLOCK_WEBHOOK"] = ""
  assert.equal(code, 6)
  assert.doesNotMatch(stdout + stderr, /token-in-the-path/)
})

test("a program that fails is asked again after the interval, and nothing is skipped", async () => {
  const heard = cli.path("late.txt")
  const page = program("late", `touch '${cli.path("asked")}'; test -e '${cli.path("awake")}' && cat >> '${heard}'`)
  const monitor = await cli.start(...watching("late.cursor", "--exec", page, "--interval", "1s"))
  await until("it was asked in vain", () => existsSync(cli.path("asked")))
  writeFileSync(cli.path("awake"), "")
  await until("an alert", () => lines(heard).length > 0)
  assert.equal(await monitor.stop(), 0)
  assert.deepEqual(lines(heard)[0]?.id, "UNKNOWN_KEY:2")
})

test("a program that is killed has not heard it", async () => {
  const page = program("dying", "kill -9 $$")
  const refusal = await cli.refusal(...watching("dying.cursor", "--once", "--exec", page))
  assert.deepEqual(refusal, { exit: 6, code: "UNAVAILABLE" })
  await assertNotYetTold("dying.cursor")
})

test("a program that hangs does not keep it from ending", async () => {
  const page = program("hanging", `touch '${cli.path("called")}'; exec sleep 3600`)
  const monitor = await cli.start(...watching("hanging.cursor", "--exec", page))
  await until("the program runs", () => existsSync(cli.path("called")))
  assert.equal(await monitor.stop(), 0)
  await assertNotYetTold("hanging.cursor")
})
