/** `weighlock deploy`: published, pinned in a source of its own, started; asked as the notebook asked, and by its own page only. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { after, before, test } from "node:test"
import { fileURLToPath } from "node:url"
import { findChromium } from "../browser/chromium.ts"
import { openPage, until } from "../browser/driven-page.ts"
import { readKerasModels } from "../keras-files/files.ts"
import { mnistLike, save, weightFile } from "../runtime/support.ts"
import { Cli } from "../support/cli.ts"
import { flipByte } from "../support/hostile.ts"

const cli = new Cli()
const zeros = Array.from({ length: 28 }, () => Array<number>(28).fill(0))
let registry = ""

before(async () => {
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  const { announced } = await cli.start(
    "registry",
    "serve",
    "--data",
    "data",
    "--trust",
    "reg/trust.json",
    "--log-level",
    "silent",
  )
  registry = announced.url
  Object.assign(cli.env, { WEIGHLOCK_REGISTRY: registry, WEIGHLOCK_TRUST: cli.path("reg", "trust.json") })
  const { json, weights } = await save(mnistLike())
  mkdirSync(cli.path("model"))
  writeFileSync(cli.path("model", "model.json"), JSON.stringify(json))
  writeFileSync(cli.path("model", weightFile), weights)
})
after(() => cli.close())

interface Deployed {
  readonly url: string
  readonly pid: number
  readonly manifest: string
  readonly folder: string
}

const ask = (url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", ...headers },
  })

test("the first line, the notebook's call, its version, TF Serving's, and a source that names the manifest", async () => {
  const service = await cli.start("deploy", "model", "--as", "acme/mnist@1.0.0", "--port", "0")
  const { url, pid, manifest, folder } = service.announced as unknown as Deployed
  assert.equal(pid, process.pid)
  assert.match(manifest, /^sha256:[0-9a-f]{64}$/)
  assert.ok(readFileSync(join(folder, "service.mjs"), "utf8").includes(`"acme/mnist@${manifest}"`))
  for (const path of ["/v1/algo/acme/mnist", "/v1/algo/acme/mnist/1.0.0"]) {
    const response = await ask(`${url}${path}`, zeros)
    assert.equal(response.headers.get("weighlock-manifest"), manifest)
    const body = (await response.json()) as { result: { prob: number[] } }
    assert.deepEqual(Object.keys(body), ["result"])
    assert.equal(body.result.prob.length, 10)
  }
  assert.equal((await ask(`${url}/v1/algo/acme/mnist`, { image: zeros })).status, 400)
  assert.equal((await ask(`${url}/v1/algo/acme/mnist/1.0.1`, zeros)).status, 404)
  assert.equal((await ask(`${url}/v1/algo/acme/other`, zeros)).status, 404)
  assert.equal((await fetch(`${url}/v1/algo/acme/mnist`)).status, 405)
  assert.equal((await ask(`${url}/v1/algo/acme/mnist`, [[1, 2]])).status, 400)
  const predicted = await ask(`${url}/v1/models/mnist:predict`, { instances: [zeros, zeros] })
  assert.equal(((await predicted.json()) as { predictions: unknown[] }).predictions.length, 2)
  // Only its own page may ask from a browser.
  for (const [origin, status] of [
    [url, 200],
    ["https://evil.example", 403],
    ["null", 403],
    [url.replace("http:", "ftp:"), 403],
    [`${url}.evil.example`, 403],
  ] as const)
    assert.equal((await ask(`${url}/v1/algo/acme/mnist`, zeros, { origin })).status, status, origin)
  const page = await fetch(url)
  assert.match(page.headers.get("content-type") ?? "", /^text\/html/)
  assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'; script-src 'sha256-/)
  assert.ok((await page.text()).includes(manifest))
  assert.equal(await service.stop(), 0)
})

test("what was served without a page has none, and answers whoever asks, as before", async () => {
  const service = await cli.start("serve", "acme/mnist@1.0.0", "--port", "0")
  const { url } = service.announced
  const { models } = service.announced as unknown as { models: { software: boolean }[] }
  assert.equal(models[0]?.software, false)
  assert.equal((await fetch(url)).status, 404)
  assert.equal((await ask(`${url}/v1/algo/acme/mnist`, zeros, { origin: "https://other.example" })).status, 200)
  await service.stop()
})

test("two versions of one model: each by its own", async () => {
  const { json, weights } = await save(mnistLike())
  mkdirSync(cli.path("other"))
  writeFileSync(cli.path("other", "model.json"), JSON.stringify(json))
  writeFileSync(cli.path("other", weightFile), weights)
  await cli.json("publish", "other", "--as", "acme/mnist@1.1.0")
  const service = await cli.start("serve", "old=acme/mnist@1.0.0", "new=acme/mnist@1.1.0", "--port", "0")
  const manifests = await Promise.all(
    ["1.0.0", "1.1.0"].map(async (version) =>
      (await ask(`${service.announced.url}/v1/algo/acme/mnist/${version}`, zeros)).headers.get("weighlock-manifest"),
    ),
  )
  assert.equal(new Set(manifests).size, 2)
  await service.stop()
})

test("--to writes a folder that starts by itself, and refuses one that is not empty before it publishes", async () => {
  const { folder, files, manifest } = (await cli.json(
    "deploy",
    "model",
    "--as",
    "acme/mnist@1.0.0",
    "--to",
    "out",
  )) as unknown as Deployed & { files: string[] }
  assert.equal(folder, cli.path("out"))
  assert.deepEqual(readdirSync(folder).toSorted(), files.toSorted())
  for (const name of ["service.mjs", "trust.json", "package.json", "Containerfile", "kubernetes.yaml"])
    assert.ok(files.includes(name), name)
  const refused = await cli.refusal("deploy", "model", "--as", "acme/mnist@2.0.0", "--to", "out")
  assert.deepEqual(refused, { exit: 5, code: "CONFLICT" })
  assert.equal((await cli.refusal("show", "acme/mnist@2.0.0")).code, "NOT_FOUND")
  writeFileSync(cli.path("file"), "x")
  assert.equal((await cli.refusal("deploy", "model", "--as", "acme/mnist@2.0.0", "--to", "file")).exit, 5)
  // As `npm install` would.
  const packages = join(folder, "node_modules/@weighlock")
  mkdirSync(packages, { recursive: true })
  symlinkSync(dirname(fileURLToPath(import.meta.resolve("@weighlock/runtime/package.json"))), join(packages, "runtime"))
  const started = (more: Record<string, string>) =>
    spawnSync(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `const { start } = await import(${JSON.stringify(join(folder, "service.mjs"))}); const service = await start({ port: 0 }).catch((error) => ({ manifest: error.code, close() {} })); console.log(service.manifest); await service.close(); process.exit(0)`,
      ],
      { encoding: "utf8", env: { ...process.env, ...cli.env, ...more } },
    )
  // The registry is in this process, and spawnSync stops it: what was verified before is on this machine.
  assert.equal(started({ WEIGHLOCK_REGISTRY: "http://127.0.0.1:1" }).stdout.trim(), manifest)
})

test("a byte of the model that is another: refused when the service starts", async () => {
  const { resources } = (await cli.json("show", "acme/mnist@1.0.0")) as unknown as {
    resources: { name: string; sha256: string }[]
  }
  const { sha256 = "" } = resources.find(({ name }) => name === weightFile) ?? {}
  rmSync(cli.path("cache"), { recursive: true })
  const blob = cli.path("data", "blobs", sha256.slice(0, 2), sha256)
  const whole = readFileSync(blob)
  chmodSync(blob, 0o600)
  writeFileSync(blob, flipByte(whole))
  const refused = await cli.refusal("deploy", "model", "--as", "acme/mnist@1.0.0", "--port", "0")
  writeFileSync(blob, whole)
  assert.deepEqual(refused, { exit: 13, code: "DIGEST_MISMATCH" })
})

test("a Keras file is deployed as it is", async () => {
  const { files } = readKerasModels(3).find(({ name }) => name === "dense")!
  for (const { entrypoint, bytes, format } of files) {
    writeFileSync(cli.path(entrypoint), bytes)
    const service = await cli.start("deploy", entrypoint, "--as", `acme/${format}@1.0.0`, "--port", "0")
    const response = await ask(`${service.announced.url}/v1/algo/acme/${format}`, [1, 2, 3, 4, 5])
    assert.equal(((await response.json()) as { result: { prob: number[] } }).result.prob.length, 3)
    await service.stop()
  }
})

for (const width of [375, 1000])
  test(`a digit drawn on the page, ${width} pixels wide: ten probabilities, and which model answered`, async (t) => {
    const chromium = findChromium()
    if (chromium === null) {
      if (process.env["REQUIRE_BROWSER"]) throw new Error("chromium is required")
      return t.skip("no chromium here")
    }
    rmSync(cli.path("cache"), { recursive: true, force: true })
    const service = await cli.start("deploy", "model", "--as", `acme/drawn@1.0.${width}`, "--port", "0")
    const { url, manifest } = service.announced as unknown as Deployed
    const page = await openPage(chromium, url, { width, height: 800 })
    try {
      const box =
        "(() => { const { left, top, width } = document.querySelector('canvas').getBoundingClientRect(); return [left, top, width] })()"
      const [left = 0, top = 0, size = 0] = (await page.evaluate(box)) as number[]
      await page.draw(Array.from({ length: 20 }, (_, at) => [left + size / 2, top + (size * (at + 2)) / 24] as const))
      await until(async () => (await page.evaluate("document.querySelectorAll('.row').length")) === 10)
      assert.match(String(await page.evaluate("document.querySelector('#which').textContent")), new RegExp(manifest))
      const shares = (await page.evaluate(
        "[...document.querySelectorAll('meter')].map(({ value }) => value)",
      )) as number[]
      assert.ok(Math.abs(shares.reduce((sum, share) => sum + share) - 1) < 1e-3)
      // Nothing is wider than the window.
      assert.equal(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true)
    } finally {
      await page.close()
      await service.stop()
    }
  })
