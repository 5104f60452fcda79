/** The engine lock: nothing native is loaded that is not the file that was locked, or that its publisher made. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { after, afterEach, before, test } from "node:test"
import { promisify } from "node:util"
import { listEngines, loadVerified, lockEngines, verifyEngines } from "../../packages/runtime/src/index.ts"
import { verified } from "../runtime/support.ts"
import { smallNetwork } from "../support/onnx-file.ts"
import { installedEngines, useInstalled, native, newFolder, removeFolders, service } from "./onnx-engine.ts"

const here = process.cwd()
before(useInstalled)
afterEach(() => {
  process.chdir(here)
  delete process.env["WEIGHLOCK_ENGINES"]
})
after(removeFolders)

const library = `${native}/libonnxruntime.so.1`
const isHere = existsSync(join(installedEngines, "onnxruntime/node_modules/onnxruntime-node", library))
const options = isHere ? {} : { skip: "the names of the files are those of Linux" }

async function load(): Promise<string> {
  const model = await loadVerified(verified({ m: smallNetwork() }, { format: "onnx", entrypoint: "m" }))
  const { name } = model.engine
  await model.dispose()
  return name
}

/** In a service's folder, with engines' folder of its own. */
function enter(folder: string): string {
  process.chdir(folder)
  process.env["WEIGHLOCK_ENGINES"] = join(folder, "engines")
  return join(folder, "node_modules/onnxruntime-node")
}

async function onnxruntime(): Promise<{ usable: boolean; locked: boolean | null; why: string | null }> {
  const engine = (await listEngines()).find(({ name }) => name === "onnxruntime")
  assert.ok(engine)
  return engine
}

/** Ends with a byte that no loader looks at. */
function change(file: string): void {
  appendFileSync(file, "x")
}

test("a service's own package is loaded without a lock when its files are the publisher's", options, async () => {
  enter(service())
  assert.equal(await load(), "onnxruntime")
  const state = await onnxruntime()
  assert.deepEqual([state.usable, state.locked], [true, false])
})

for (const [what, spoil] of [
  ["changed", (home: string) => change(join(home, library))],
  ["added", (home: string) => copyFileSync(join(home, library), join(home, native, "libextra.so"))],
] as const) {
  test(
    `a service's own package with a file ${what} is refused, and names \`engine lock\`; which takes it`,
    options,
    async () => {
      const home = enter(service())
      spoil(home)
      await assert.rejects(load(), { code: "DEVICE_UNAVAILABLE", message: /engine lock/ })
      assert.match(String((await onnxruntime()).why), /engine lock/)
      await lockEngines()
      assert.equal(await load(), "onnxruntime")
      assert.equal((await onnxruntime()).locked, true)
      assert.deepEqual(
        verifyEngines().map(({ why }) => why),
        [null],
      )
    },
  )
}

for (const [what, spoil, why] of [
  ["changed", (home: string) => change(join(home, library)), /libonnxruntime\.so\.1 has changed/],
  ["added", (home: string) => writeFileSync(join(home, native, "libother.so"), "x"), /libother\.so was added/],
  ["removed", (home: string) => rmSync(join(home, native, "onnxruntime_binding.node")), /binding\.node is gone/],
] as const) {
  test(`what was locked and then ${what} is not loaded`, options, async () => {
    const home = enter(service())
    await lockEngines()
    spoil(home)
    await assert.rejects(load(), { code: "DEVICE_UNAVAILABLE", message: why })
    assert.match(String(verifyEngines()[0]?.why), why)
  })
}

test("a provider of another version is refused, and not locked either", options, async () => {
  const home = enter(service())
  writeFileSync(join(home, native, "libonnxruntime_providers_cuda.so"), "\x7fELF\0\x001.27.0\0\0")
  await assert.rejects(load(), { code: "DEVICE_UNAVAILABLE" })
  await assert.rejects(lockEngines(), { code: "DEVICE_UNAVAILABLE", message: /1\.27\.0/ })
  await assert.rejects(load(), { code: "DEVICE_UNAVAILABLE" })
})

test("a core of another version than its package is refused", options, async () => {
  const home = enter(service())
  const file = join(home, "package.json")
  writeFileSync(file, readFileSync(file, "utf8").replace('"version": "1.30.0"', '"version": "1.27.0"'))
  await assert.rejects(load(), { code: "DEVICE_UNAVAILABLE", message: /do not belong together/ })
  await assert.rejects(lockEngines(), { code: "DEVICE_UNAVAILABLE" })
})

test("a lock that can't be read opens nothing", options, async () => {
  enter(service())
  mkdirSync(process.env["WEIGHLOCK_ENGINES"]!)
  for (const content of ["", "{", '{"schemaVersion":2,"engines":[]}', '{"schemaVersion":1,"engines":[{}]}']) {
    writeFileSync(join(process.env["WEIGHLOCK_ENGINES"]!, "engine-lock.json"), content)
    await assert.rejects(load(), { code: "DEVICE_UNAVAILABLE", message: /engine-lock\.json/ }, content)
  }
})

test("without the engine a model says the one command", async () => {
  enter(newFolder())
  await assert.rejects(load(), { code: "DEVICE_UNAVAILABLE", hint: /weighlock engine add onnxruntime/ })
})

const run = promisify(execFile)
const main = join(import.meta.dirname, "../../packages/cli/src/main.ts")

async function weighlock(env: Record<string, string>, ...argv: string[]): Promise<{ code: number; out: any }> {
  const outcome = await run(process.execPath, [main, ...argv, "--json"], {
    cwd: env["WEIGHLOCK_ENGINES"]!.replace(/engines$/, ""),
    env: { ...process.env, ...env },
  }).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error: { code: number; stdout: string }) => error,
  )
  return { code: outcome.code, out: JSON.parse(outcome.stdout) }
}

test("engine list, verify, lock and remove by the command line", options, async () => {
  const folder = newFolder()
  const env = { WEIGHLOCK_ENGINES: join(folder, "engines"), WEIGHLOCK_HOME: folder }
  cpSync(installedEngines, env.WEIGHLOCK_ENGINES, { recursive: true })
  const { engines } = (await weighlock(env, "engine", "list")).out
  assert.deepEqual(
    engines.map(({ name }: { name: string }) => name),
    ["tfjs-node-gpu", "wasm", "js", "onnxruntime-cuda", "onnxruntime-webgpu", "onnxruntime"],
  )
  for (const field of ["name", "version", "device", "formats", "path", "locked", "usable", "why"])
    assert.ok(
      engines.every((one: object) => field in one),
      field,
    )
  const usable = engines.filter((one: any) => one.usable).map(({ name }: any) => name)
  assert.deepEqual(usable, ["wasm", "js", "onnxruntime"])
  const last = engines.at(-1)
  assert.deepEqual([last.version, last.locked, last.formats], ["1.30.0", true, ["onnx"]])
  assert.equal((await weighlock(env, "engine", "verify")).code, 0)
  change(join(env.WEIGHLOCK_ENGINES, "onnxruntime/node_modules/onnxruntime-node", library))
  assert.equal((await weighlock(env, "engine", "verify")).code, 13)
  assert.equal((await weighlock(env, "engine", "lock")).code, 0)
  assert.equal((await weighlock(env, "engine", "verify")).code, 0)
  assert.equal((await weighlock(env, "engine", "remove", "onnxruntime")).code, 0)
  assert.equal((await weighlock(env, "engine", "remove", "onnxruntime")).code, 3)
  assert.deepEqual((await weighlock(env, "engine", "verify")).out.engines, [])
  assert.equal((await weighlock(env, "engine", "add", "wasm")).code, 2)
  assert.equal((await weighlock(env, "engine", "add", "no-such-engine")).code, 2)
})

test(
  "engine add takes only the packages of this release: another tarball is refused by its integrity",
  options,
  async () => {
    const folder = newFolder()
    const env = { WEIGHLOCK_ENGINES: join(folder, "engines"), PATH: `${folder}:${process.env["PATH"]}` }
    // A registry that hands out something else for every name.
    const { createServer } = await import("node:http")
    const server = createServer((request, response) => {
      const name = decodeURIComponent(request.url ?? "").slice(1)
      if (name.endsWith(".tgz")) return response.end("not what it should be")
      const { port } = server.address() as { port: number }
      const versions = Object.fromEntries(
        ["1.30.0"].map((version) => [
          version,
          { name, version, dist: { tarball: `http://127.0.0.1:${port}/${name}.tgz` } },
        ]),
      )
      response.setHeader("content-type", "application/json")
      return response.end(JSON.stringify({ name, "dist-tags": { latest: "1.30.0" }, versions }))
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as { port: number }
    const npm = {
      npm_config_registry: `http://127.0.0.1:${port}/`,
      npm_config_cache: join(folder, "npm"),
      npm_config_fetch_retries: "0",
    }
    const { code, out } = await weighlock({ ...env, ...npm }, "engine", "add", "onnxruntime")
    server.close()
    assert.deepEqual([code, out.error.code], [6, "UNAVAILABLE"])
    assert.ok(!existsSync(join(env.WEIGHLOCK_ENGINES, "onnxruntime")))
  },
)
