/** A real `weighlock serve` whose engine is lost: it comes back, or the process ends so that a supervisor acts. */
import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { after, before, test } from "node:test"
import { fileURLToPath } from "node:url"
import { dense, type SavedModel, save, tf, weightFile } from "../runtime/support.ts"
import { Cli } from "../support/cli.ts"
import { engineFolder, trouble } from "../support/engine-package.ts"

const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
const cli = new Cli()

before(async () => {
  mkdirSync(cli.path("gpu"))
  engineFolder(cli.path("gpu"))
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  const options = ["--data", "data", "--trust", "reg/trust.json", "--log-level", "silent"]
  const { announced } = await cli.start("registry", "serve", ...options)
  Object.assign(cli.env, { WEIGHLOCK_REGISTRY: announced.url, WEIGHLOCK_TRUST: cli.path("reg", "trust.json") })
  await publish("tiny", await save(dense()))
  const recurrent = tf.layers.simpleRNN({ units: 2, inputShape: [null, 1], recurrentInitializer: "glorotNormal" })
  await publish("steps", await save(tf.sequential({ layers: [recurrent] })))
})

after(() => cli.close())

async function publish(name: string, { json, weights }: SavedModel): Promise<void> {
  mkdirSync(cli.path(name))
  writeFileSync(cli.path(name, "model.json"), JSON.stringify(json))
  writeFileSync(cli.path(name, weightFile), weights)
  await cli.json("publish", cli.path(name), "--as", `acme/${name}@1.0.0`)
}

interface Served {
  readonly child: ChildProcess
  readonly url: string
  readonly ended: Promise<{ code: number | null; output: string }>
  ask(body: string): Promise<number>
  /** The status of /readyz once it is this. */
  ready(status: number): Promise<void>
}

async function serve(name: string, flags: readonly string[], env: Record<string, string> = {}): Promise<Served> {
  const argv = [main, "serve", `acme/${name}@1.0.0`, "--port", "0", "--json", ...flags]
  const child = spawn(process.execPath, argv, {
    env: { ...process.env, ...cli.env, WEIGHLOCK_ENGINES: cli.path("gpu"), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  })
  let output = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text))
  const first = Promise.withResolvers<{ url: string }>()
  createInterface(child.stdout).on("line", (line) => {
    output += `${line}\n`
    if (line.includes('"url"')) first.resolve(JSON.parse(line) as { url: string })
  })
  const ended = new Promise<{ code: number | null; output: string }>((resolve) =>
    child.once("close", (code) => resolve({ code, output })),
  )
  const { url } = await Promise.race([first.promise, ended.then(({ output: why }) => Promise.reject(new Error(why)))])
  return {
    child,
    url,
    ended,
    ask: async (body) => (await fetch(`${url}/v1/models/${name}:predict`, { method: "POST", body })).status,
    ready: async (status) => {
      while ((await fetch(`${url}/readyz`)).status !== status) await new Promise((resolve) => setTimeout(resolve, 20))
    },
  }
}

const begun = (): number => readFileSync(cli.path("gpu", "begun")).length
const row = (first: number): string => `{"instances":[[${first},0]]}`
const steps = (count: number): string => `{"instances":[[${Array(count).fill("[1]").join(",")}]]}`

test("a native call that never returns: 504, and the process ends with 1 and ENGINE_STUCK", async () => {
  const { ask, ended } = await serve("tiny", ["--device", "gpu", "--predict-timeout", "1s"])
  assert.equal(await ask(row(1)), 200)
  assert.equal(await ask(row(trouble.hangs)), 504)
  const { code, output } = await ended
  assert.equal(code, 1)
  assert.match(output, /ENGINE_STUCK/)
})

test("SIGTERM ends a process whose engine hangs", async () => {
  const { ask, child, ended } = await serve("tiny", ["--device", "gpu", "--predict-timeout", "1h"])
  const before = begun()
  const hanging = ask(row(trouble.hangs)).catch(() => 0)
  while (begun() === before) await new Promise((resolve) => setTimeout(resolve, 20))
  child.kill("SIGTERM")
  await Promise.all([hanging, ended])
})

test("a question that fills the thread's heap is refused, and the next is answered", async () => {
  const options = { NODE_OPTIONS: "--max-old-space-size=256" }
  const { ask, child, ended, ready } = await serve("tiny", ["--device", "gpu"], options)
  assert.equal(await ask(row(trouble.hoards)), 413)
  await ready(200)
  assert.equal(await ask(row(1)), 200)
  child.kill("SIGTERM")
  assert.equal((await ended).code, 0)
})

// The last: the registry is gone afterwards.
test("a question past its time: 504, and the model comes back from the cache alone", async () => {
  const { ask, child, ended, ready } = await serve("steps", ["--device", "wasm", "--predict-timeout", "5s"])
  await cli.stop("registry")
  assert.equal(await ask(steps(300_000)), 504)
  await ready(503)
  await ready(200)
  assert.equal(await ask(steps(3)), 200)
  child.kill("SIGTERM")
  assert.equal((await ended).code, 0)
})
