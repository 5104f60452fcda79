/**
 * Cold start of a service: fetch, verify, load, first answer, over a link of 1 Gbit/s, against a program that fetches and
 * loads the same files without a check. Processes of their own, taking turns, each with an empty cache; and ours once more from
 * a warm cache.
 *
 *     weighlock engine add onnxruntime
 *     node bench/cold-start.ts [--rounds 5] [--only onnx-100,wasm-100,onnx-1000]
 */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the libraries of the other program are reached without their types */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join, sep } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { loadModel } from "@weighlock/runtime"
import { findPackage, onnxruntimePackage } from "@weighlock/runtime/src/engines/installed/packages.ts"
import { denseNetwork, denseWeights } from "./dense-network.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "5" }, only: { type: "string" } },
})
const self = fileURLToPath(import.meta.url)
const main = fileURLToPath(new URL("../packages/cli/src/main.ts", import.meta.url))
const bytesPerSecond = 125e6

const models = {
  "onnx-100": { format: "onnx", widths: [784, 4600, 4600, 10] },
  "wasm-100": { format: "tfjs-layers", widths: [784, 4600, 4600, 10] },
  "onnx-1000": { format: "onnx", widths: [784, 15_400, 15_400, 10] },
} as const
type Name = keyof typeof models

const question = Float32Array.from({ length: 784 }, (_, at) => (at % 17) / 17)

/** All connections together have the link's bytes, both ways. */
function link(port: number): Promise<number> {
  let free = performance.now()
  const paced = (from: Socket, to: Socket): void => {
    from.on("error", () => to.destroy()).on("end", () => to.end())
    from.on("data", (chunk: Buffer) => {
      from.pause()
      free = Math.max(free, performance.now() - 5) + (1000 * chunk.length) / bytesPerSecond
      const wait = free - performance.now()
      const on = (): void => {
        if (to.write(chunk)) from.resume()
        else to.once("drain", () => from.resume())
      }
      if (wait > 1) setTimeout(on, wait)
      else on()
    })
  }
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1")
    paced(client, upstream)
    paced(upstream, client)
  })
  server.listen(0, "127.0.0.1")
  return once(server, "listening").then(() => (server.address() as AddressInfo).port)
}

/** Without a check of any kind. */
async function plain(name: Name, urls: readonly string[]): Promise<void> {
  const files = await Promise.all(urls.map(async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer())))
  const { format, widths } = models[name]
  if (format === "onnx") {
    const { main: at } = findPackage(onnxruntimePackage) ?? { main: "" }
    const ort: any = createRequire(at)(at)
    const session = await ort.InferenceSession.create(files[0], { executionProviders: ["cpu"], logSeverityLevel: 4 })
    await session.run({ x: new ort.Tensor("float32", question, [1, 784]) })
    return
  }
  const require = createRequire(createRequire(import.meta.url).resolve("@weighlock/runtime/package.json"))
  const tf: any = { ...require("@tensorflow/tfjs-core"), ...require("@tensorflow/tfjs-layers") }
  const wasm: any = require("@tensorflow/tfjs-backend-wasm")
  wasm.setWasmPaths(dirname(require.resolve("@tensorflow/tfjs-backend-wasm")) + sep)
  await tf.setBackend("wasm")
  const { modelTopology, weightsManifest } = JSON.parse(Buffer.from(files[0]!).toString())
  const weightSpecs = weightsManifest.flatMap(({ weights }: any) => weights)
  const model = await tf.loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs, weightData: files[1]!.buffer }))
  await model.predict(tf.tensor2d(question, [1, widths[0]])).data()
}

async function measured(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const started = performance.now()
  const child = spawn(process.execPath, [self, ...argv], { env, stdio: ["ignore", "inherit", "inherit"] })
  const [code] = (await once(child, "exit")) as [number | null]
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}`)
  return performance.now() - started
}

const median = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[all.length >> 1] ?? NaN

async function bench(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "weighlock-cold-"))
  const env = {
    ...process.env,
    HOME: folder,
    WEIGHLOCK_HOME: join(folder, "home"),
    WEIGHLOCK_TRUST: join(folder, "registry/trust.json"),
    WEIGHLOCK_CACHE: join(folder, "cache"),
    WEIGHLOCK_ENGINES:
      process.env["WEIGHLOCK_ENGINES"] ?? join(process.env["HOME"] ?? "", ".local/share/weighlock/engines"),
  }
  const cli = (...argv: string[]): string => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...argv, "--json"], {
      cwd: folder,
      env,
      encoding: "utf8",
    })
    if (status !== 0) throw new Error(stdout + stderr)
    return stdout
  }
  cli("init", "registry", "--origin", "localhost", "--no-passphrase")
  const registry = spawn(
    process.execPath,
    [main, "registry", "serve", "--data", join(folder, "data"), "--log-level", "error", "--json"],
    { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] },
  )
  const [line] = (await once(createInterface({ input: registry.stdout }), "line")) as [string]
  const direct = (JSON.parse(line) as { url: string }).url
  const linked = spawn(process.execPath, [self, "link", new URL(direct).port], { stdio: ["ignore", "pipe", "inherit"] })
  const [port] = (await once(createInterface({ input: linked.stdout }), "line")) as [string]
  const through = `http://127.0.0.1:${port}`
  try {
    for (const name of (values.only?.split(",") ?? Object.keys(models)) as Name[]) {
      const { format, widths } = models[name]
      const model = join(folder, name)
      mkdirSync(model)
      if (format === "onnx") writeFileSync(join(model, "model.onnx"), denseNetwork(widths))
      else {
        const { json, weights } = denseWeights(widths)
        writeFileSync(join(model, "model.json"), json)
        writeFileSync(join(model, "weights.bin"), weights)
      }
      const published = JSON.parse(
        cli("publish", model, "--as", `acme/${name}@1.0.0`, "--no-load-check", "--registry", direct),
      ) as { resources?: { name: string; sha256: string }[] }
      const { resources } = published.resources
        ? published
        : (JSON.parse(cli("show", `acme/${name}@1.0.0`, "--registry", direct)) as {
            resources: { name: string; sha256: string }[]
          })
      const urls = (resources ?? [])
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
        .map(({ sha256 }) => `${through}/api/v1/blobs/sha256/${sha256}`)
      const [ours, theirs, warm]: [number[], number[], number[]] = [[], [], []]
      for (let round = 0; round < Number(values.rounds); round++) {
        rmSync(join(folder, "cache"), { recursive: true, force: true })
        theirs.push(await measured(["plain", name, ...urls], env))
        ours.push(await measured(["ours", name, through], env))
        warm.push(await measured(["ours", name, through], env))
        await pause(200)
      }
      const ratio = median(ours.map((one, at) => one / theirs[at]!))
      process.stdout.write(
        `${name}: ours ${(median(ours) / 1000).toFixed(2)} s, without checks ${(median(theirs) / 1000).toFixed(2)} s, ratio ${ratio.toFixed(3)}; from a warm cache ${(median(warm) / 1000).toFixed(2)} s\n`,
      )
    }
  } finally {
    registry.kill()
    linked.kill()
    await once(registry, "exit").catch(() => undefined)
    rmSync(folder, { recursive: true, force: true })
  }
}

const [what, name, ...rest] = positionals
if (what === "link") process.stdout.write(`${await link(Number(name))}\n`)
else if (what === "plain") {
  await plain(name as Name, rest)
  process.exit(0)
} else if (what === "ours") {
  const device = models[name as Name].format === "onnx" ? "onnxruntime" : "wasm"
  const model = await loadModel(`acme/${name}@1.0.0`, {
    registry: rest[0]!,
    trust: process.env["WEIGHLOCK_TRUST"]!,
    device,
  })
  await model.predict(question)
  process.exit(0)
} else {
  await bench()
  process.exit(0)
}
