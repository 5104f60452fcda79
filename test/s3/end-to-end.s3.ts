/** The commands with a bucket: bytes go straight between the client and the bucket, and the registry sends none of them. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test, type TestContext } from "node:test"

import { openBucket } from "@weighlock/registry/s3"

import { type Background, Cli } from "../support/cli.ts"
import { FaultProxy } from "../support/fault-proxy.ts"
import { sha256 } from "../registry/support.ts"
import { forThisFile, freshBucket, skip } from "./support.ts"

const server = forThisFile()
const origin = "models.acme.example"

interface Setup {
  readonly cli: Cli
  readonly flags: readonly string[]
  serve(): Promise<Background>
}

async function setUp(t: TestContext): Promise<Setup> {
  const cli = new Cli()
  t.after(() => cli.close())
  const { store, endpoint } = await freshBucket(server())
  const flags = ["--store", store, "--s3-endpoint", endpoint]
  await cli.json("init", "reg", "--origin", origin, "--no-passphrase")
  const serve = (): Promise<Background> =>
    cli.start("registry", "serve", "--data", "data", "--trust", "reg/trust.json", "--log-level", "error", ...flags)
  return { cli, flags, serve }
}

function makeModel(cli: Cli, bytes: number): Buffer {
  const large = randomBytes(bytes)
  mkdirSync(cli.path("model", "weights"), { recursive: true })
  writeFileSync(cli.path("model", "large.bin"), large)
  writeFileSync(cli.path("model", "empty.txt"), "")
  writeFileSync(cli.path("model", "weights", "small.bin"), randomBytes(70_000))
  return large
}

const below = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted()

test("publish and pull go through the bucket, and the registry keeps and sends none of it", { skip }, async (t) => {
  const { cli, serve } = await setUp(t)
  const { announced } = await serve()
  const registry = await FaultProxy.start(t, announced.url)
  const to = ["--registry", registry.url, "--trust", "reg/trust.json"]
  const large = makeModel(cli, 20 * 2 ** 20)
  const published = await cli.json("publish", "model", "--as", "acme/mnist@1.0.0", "--format", "other", ...to)
  assert.match(String(published["manifest"]), /^(sha256:)?[0-9a-f]{64}$/)
  await cli.json("publish", "model", "--as", "acme/mnist@1.0.1", "--format", "other", ...to)
  await cli.json("pull", "acme/mnist@1.0.0", "-o", "out", ...to)
  assert.deepEqual(readFileSync(cli.path("out", "large.bin")), large)
  assert.deepEqual(below(cli.path("out")), below(cli.path("model")))
  assert.ok(registry.sent < 200_000, `the registry sent ${registry.sent} bytes`)
  assert.ok(!registry.seen.some((line) => line.startsWith("PUT")))
  assert.deepEqual(
    below(cli.path("data")).filter((name) => /^(blobs|staging)\//.test(name)),
    [],
  )
})

test("a blob is a redirect to the bucket, with ranges; HEAD is answered by the registry", { skip }, async (t) => {
  const { cli, serve } = await setUp(t)
  const { announced } = await serve()
  const to = ["--registry", announced.url, "--trust", "reg/trust.json"]
  const large = makeModel(cli, 9 * 2 ** 20)
  await cli.json("publish", "model", "--as", "acme/mnist@1.0.0", "--format", "other", ...to)
  const digest = sha256(large)
  const url = `${announced.url}/api/v1/blobs/sha256/${digest}`
  const headed = await fetch(url, { method: "HEAD" })
  assert.deepEqual([headed.status, headed.headers.get("content-length")], [200, String(large.length)])
  const answer = await fetch(url, { redirect: "manual", headers: { range: "bytes=5-9" } })
  assert.deepEqual([answer.status, (await answer.arrayBuffer()).byteLength], [307, 0])
  assert.equal(answer.headers.get("cache-control"), "no-store")
  const location = answer.headers.get("location") ?? ""
  assert.equal(new URL(location).origin, server().endpoint)
  const part = await fetch(location, { headers: { range: "bytes=5-9" } })
  assert.deepEqual([part.status, Buffer.from(await part.arrayBuffer())], [206, large.subarray(5, 10)])
  assert.equal((await fetch(url, { headers: { "if-none-match": `"${digest}"` } })).status, 304)
  assert.equal((await fetch(url, { headers: { range: "bytes=99999999-" } })).status, 416)
  assert.equal((await fetch(url.replace(digest, "0".repeat(64)))).status, 404)
  assert.equal((await fetch(`${announced.url}/readyz`)).status, 200)
})

test(
  "a data folder is for one store: another one is refused, and so is a bucket that others use",
  { skip },
  async (t) => {
    const { cli, serve, flags } = await setUp(t)
    const running = await serve()
    const to = ["--registry", running.announced.url, "--trust", "reg/trust.json"]
    makeModel(cli, 1000)
    await cli.json("publish", "model", "--as", "acme/mnist@1.0.0", "--format", "other", ...to)
    await running.stop()
    const other = await freshBucket(server())
    const start = (data: string, ...more: string[]): ReturnType<Cli["refusal"]> =>
      cli.refusal("registry", "serve", "--data", data, "--trust", "reg/trust.json", ...more)
    assert.deepEqual(await start("data"), { exit: 2, code: "USAGE" })
    assert.deepEqual(await start("data", "--store", other.store, "--s3-endpoint", other.endpoint), {
      exit: 2,
      code: "USAGE",
    })
    assert.deepEqual(await start("new", ...flags), { exit: 2, code: "USAGE" })
    assert.deepEqual(await start("data", "--s3-endpoint", other.endpoint), { exit: 2, code: "USAGE" })
    const nobody = ["--store", other.store, "--s3-endpoint", "http://127.0.0.1:1"]
    assert.deepEqual(await start("fresh", ...nobody), { exit: 6, code: "UNAVAILABLE" })
    assert.ok(!below(cli.path("fresh")).includes("blob-store"))
    await (await serve()).stop()
  },
)

test("doctor tells what a bucket does", { skip }, async (t) => {
  const { cli, flags } = await setUp(t)
  const { findings } = (await cli.json("doctor", ...flags)) as { findings: { name: string; state: string }[] }
  assert.deepEqual(
    findings.filter(({ state }) => state !== "ok").map(({ name }) => name),
    ["lifecycle"],
  )
  const { code, stdout } = await cli.run("doctor", "--store", "s3://not-there-at-all", ...flags.slice(2))
  assert.equal(code, 8)
  assert.match(stdout, /NoSuchBucket/)
})

test(
  "fsck looks into the bucket, rebuild leaves the files there, and the rebuilt registry serves them",
  { skip },
  async (t) => {
    const { cli, serve, flags } = await setUp(t)
    const argv = ["registry", "serve", "--data", "data", "--trust", "reg/trust.json", "--log-level", "error"]
    const running = await cli.start(...argv, "--publish-log", "published", ...flags)
    const to = ["--trust", "reg/trust.json"]
    const large = makeModel(cli, 9 * 2 ** 20)
    const at = ["--registry", running.announced.url, ...to]
    await cli.json("publish", "model", "--as", "acme/mnist@1.0.0", "--format", "other", ...at)
    await running.stop()
    assert.deepEqual(await cli.refusal("registry", "fsck", "--data", "data", ...to), { exit: 2, code: "USAGE" })
    const elsewhere = ["--store", (await freshBucket(server())).store, ...flags.slice(2)]
    const looked = await cli.refusal("registry", "fsck", "--data", "data", ...to, ...elsewhere)
    assert.deepEqual(looked, { exit: 2, code: "USAGE" })
    const found = await cli.json("registry", "fsck", "--data", "data", "--hash-blobs", ...to, ...flags)
    assert.deepEqual(found["findings"], [])
    const made = await cli.json("registry", "rebuild", "published", "--data", "new", "--newest", ...to, ...flags)
    assert.deepEqual(made["missingBlobs"], [])
    rmSync(cli.path("data"), { recursive: true })
    renameSync(cli.path("new"), cli.path("data"))
    const again = await serve()
    await cli.json("pull", "acme/mnist@1.0.0", "-o", "out", "--registry", again.announced.url, ...to)
    assert.deepEqual(readFileSync(cli.path("out", "large.bin")), large)
    await again.stop()
    const bucket = await openBucket({ store: flags[1] ?? "", endpoint: server().endpoint })
    t.after(() => bucket.close())
    await bucket.blobs.remove(sha256(large))
    const { code, stdout } = await cli.run("registry", "fsck", "--data", "data", "--json", ...to, ...flags)
    const { findings } = JSON.parse(stdout) as { findings: { rule: string; place: string }[] }
    assert.equal(code, 8)
    assert.ok(findings.some(({ rule, place }) => rule === "blob-file" && place === `blobs/${sha256(large)}`))
  },
)
