/** Installs the heavy native engines' JavaScript beside the workspace, by its own lockfile and without scripts, and tests it. */
import { spawnSync } from "node:child_process"
import { globSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL("../test/engines/", import.meta.url))

function run(command: string, argv: readonly string[]): void {
  const { status } = spawnSync(command, argv, { cwd: folder, stdio: "inherit" })
  if (status !== 0) process.exit(status ?? 1)
}

run("npx", ["-y", "pnpm@12.21.0", "install", "--frozen-lockfile"])
run(process.execPath, ["--test", "--test-timeout=180000", ...globSync("*.test.ts", { cwd: folder })])
