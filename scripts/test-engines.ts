/** Installs native engines beside the workspace, without their scripts, and tests them. */
import { spawnSync } from "node:child_process"
import { existsSync, globSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL("../test/engines/", import.meta.url))

const engines = join(folder, ".installed")

function run(command: string, argv: readonly string[]): void {
  const env = { ...process.env, WEIGHLOCK_ENGINES: engines }
  const { status } = spawnSync(command, argv, { cwd: folder, stdio: "inherit", env })
  if (status !== 0) process.exit(status ?? 1)
}

run("npx", ["-y", "pnpm@12.21.0", "install", "--frozen-lockfile"])
// As a user installs it: npm's package at this release's version, its files locked.
if (!existsSync(join(engines, "engine-lock.json")))
  run(process.execPath, ["../../packages/cli/src/main.ts", "engine", "add", "onnxruntime"])
run(process.execPath, ["--test", "--test-timeout=180000", ...globSync("*.test.ts", { cwd: folder })])
