/** The notebook, end to end: train on real digits, sign, publish, pin the digest in a service's source, ask it. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { after, before, test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { imageAt, readDigits } from "@weighlock/examples/demo/mnist"
import { makeNetwork, save, train } from "@weighlock/examples/demo/train"
import { loadModel } from "@weighlock/runtime"
import { Cli } from "../support/cli.ts"
import { flipByte } from "../support/hostile.ts"

const source = readFileSync(fileURLToPath(import.meta.resolve("@weighlock/examples/mnist-service")), "utf8")
// Beside this file, so that the copy finds the same packages.
const folder = mkdtempSync(join(import.meta.dirname, ".service-"))
const cli = new Cli()
let digest = ""

before(async () => {
  const network = await makeNetwork()
  await train(network, await readDigits("train"), { from: 0, to: 12_000, epochs: 1 }, () => undefined)
  await save(network, cli.path("model"))
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
  Object.assign(cli.env, { WEIGHLOCK_REGISTRY: announced.url, WEIGHLOCK_TRUST: cli.path("reg", "trust.json") })
  const { manifest, format, entrypoint } = await cli.json("publish", "model", "--as", "acme/mnist@1.0.0")
  assert.deepEqual([format, entrypoint], ["tfjs-layers", "model.json"])
  digest = String(manifest)
})
after(async () => {
  await cli.close()
  rmSync(folder, { recursive: true })
})

interface Service {
  readonly url: string
  stop(): void
}

async function startService(pin: string): Promise<Service> {
  const file = join(folder, `service-${pin.slice(-8)}.ts`)
  writeFileSync(file, source.replace(/sha256:0{64}/, pin))
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, ...cli.env, PORT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  })
  let stderr = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve)
    child.once("exit", () => reject(new Error(stderr)))
  })
  return { url: (JSON.parse(line) as { url: string }).url, stop: () => child.kill() }
}

test("a 28×28 array in, {prob:[10]} out, and the answer names the pinned manifest", async () => {
  const service = await startService(digest)
  try {
    const digits = await readDigits("t10k")
    let right = 0
    for (let at = 0; at < 200; at++) {
      const response = await fetch(service.url, { method: "POST", body: JSON.stringify(imageAt(digits, at)) })
      assert.equal(response.headers.get("weighlock-manifest"), digest)
      const { prob } = (await response.json()) as { prob: number[] }
      assert.equal(prob.length, 10)
      assert.ok(Math.abs(prob.reduce((sum, share) => sum + share) - 1) < 1e-4)
      if (prob.indexOf(Math.max(...prob)) === digits.labels[at]) right++
    }
    assert.ok(right >= 170, `${right} of 200 right after 12,000 digits`)
    const zeros = await fetch(service.url, {
      method: "POST",
      body: JSON.stringify(Array.from({ length: 28 }, () => Array<number>(28).fill(0))),
    })
    assert.equal(((await zeros.json()) as { prob: number[] }).prob.length, 10)
    const bad = await fetch(service.url, { method: "POST", body: "[[1,2],[3]]" })
    assert.equal(bad.status, 400)
  } finally {
    service.stop()
  }
})

test("a pin of something else never starts", async () => {
  await assert.rejects(startService(`sha256:${"1".repeat(64)}`), /NOT_FOUND/)
})

test("weighlock serve answers TF Serving's REST, and names the manifest", async () => {
  const serving = await cli.start("serve", "digits=acme/mnist@1.0.0", "--port", "0")
  const digits = await readDigits("t10k")
  const response = await fetch(`${serving.announced.url}/v1/models/digits:predict`, {
    method: "POST",
    body: JSON.stringify({ instances: [imageAt(digits, 0)] }),
  })
  const { predictions } = (await response.json()) as { predictions: number[][] }
  assert.equal(predictions[0]?.indexOf(Math.max(...predictions[0])), 7)
  assert.equal(response.headers.get("weighlock-manifest"), digest)
  assert.equal(await serving.stop(), 0)
})

test("--device gpu fails closed where there is none", async () => {
  const { exit, code } = await cli.refusal("serve", "acme/mnist@1.0.0", "--port", "0", "--device", "gpu")
  assert.deepEqual([exit, code], [2, "DEVICE_UNAVAILABLE"])
})

// From here on without the registry.
test("the registry is gone: the service, weighlock serve, and a folder with its bundle start all the same", async () => {
  await cli.json("pull", "acme/mnist@1.0.0", "-o", "pulled", "--receipt", "pulled.json")
  await cli.stop("registry")
  const digits = await readDigits("t10k")
  const service = await startService(digest)
  const answered = await fetch(service.url, { method: "POST", body: JSON.stringify(imageAt(digits, 0)) })
  service.stop()
  assert.equal(answered.headers.get("weighlock-manifest"), digest)
  for (const [from, argv] of [
    ["kept", ["acme/mnist@1.0.0", "--offline"]],
    ["kept", [`acme/mnist@${digest}`]],
    ["bundle", ["./pulled", "--bundle", "pulled.json"]],
    ["bundle", ["mnist=pulled", "--bundle", "pulled.json"]],
  ] as const) {
    const serving = await cli.start("serve", ...argv, "--port", "0")
    const [{ view }] = serving.announced["models"] as [{ view: { from: string; clock: string | null } }]
    assert.deepEqual([view.from, view.clock], [from, from === "kept" ? "local" : null])
    const response = await fetch(`${serving.announced.url}/v1/models/mnist:predict`, {
      method: "POST",
      body: JSON.stringify({ instances: [imageAt(digits, 0)] }),
    })
    const { predictions } = (await response.json()) as { predictions: number[][] }
    assert.equal(predictions[0]?.indexOf(Math.max(...predictions[0])), 7)
    assert.equal(response.headers.get("weighlock-manifest"), digest)
    assert.equal(await serving.stop(), 0)
  }
  // Without witnesses nobody says how old a bundle is; a kept view is as old as this machine's last contact.
  for (const [code, argv] of [
    ["STALE", ["./pulled", "--bundle", "pulled.json", "--max-staleness", "1h"]],
    ["USAGE", ["mnist=./pulled", "mnist=acme/mnist@1.0.0", "--bundle", "pulled.json"]],
    ["UNAVAILABLE", ["acme/mnist@1.0.1", "--offline"]],
  ] as const)
    assert.equal((await cli.refusal("serve", ...argv, "--port", "0")).code, code)
})

test("loadModel takes a folder with its bundle, and reads it again, through the hash, when the engine is lost", async () => {
  const options = { trust: cli.path("reg", "trust.json"), state: cli.path("home"), bundle: cli.path("pulled.json") }
  const model = await loadModel(cli.path("pulled"), { ...options, predictTimeout: 1, maxRestarts: 1 })
  assert.deepEqual(model.view, { from: "bundle", asOf: null, clock: null })
  const digits = await readDigits("t10k")
  const images = Array.from({ length: 2000 }, (_, at) => imageAt(digits, at))
  const lose = (): Promise<void> => assert.rejects(model.predictBatch(images), { code: "DEADLINE_EXCEEDED" })
  await lose()
  while (model.failure !== null) await pause(20)
  const weights = cli.path("pulled", readdirSync(cli.path("pulled")).find((name) => name.endsWith(".bin")) ?? "")
  writeFileSync(weights, flipByte(readFileSync(weights)))
  await lose()
  assert.equal((await model.failed).code, "ENGINE_STUCK")
  await model.dispose()
  await assert.rejects(loadModel(cli.path("pulled"), options), { code: "DIGEST_MISMATCH" })
  await assert.rejects(loadModel(cli.path("reg"), options), { code: "DIGEST_MISMATCH" })
  const other = { ...options, bundle: cli.path("reg", "trust.json") }
  await assert.rejects(loadModel(cli.path("pulled"), other), { code: "MANIFEST_INVALID" })
})
