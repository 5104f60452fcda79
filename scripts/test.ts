/**
 * Runs the tests: all of `test/`, or the folders named (`pnpm test cli attacks`). One process per file, as many at once
 * as there are cores, and one more: a test often waits.
 */
import { spawnSync } from "node:child_process"
import { globSync } from "node:fs"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const wanted = process.argv.slice(2)
const files = globSync("test/**/*.test.ts", {
  cwd: root,
  exclude: ["test/engines/**", "test/interop/**", "**/node_modules/**"],
})
const chosen =
  wanted.length === 0 ? files : files.filter((file) => wanted.some((name) => file.includes(`test/${name}`)))
if (chosen.length === 0) {
  process.stderr.write(`no test file matches ${wanted.join(", ")}\n`)
  process.exit(2)
}
const { status } = spawnSync(
  process.execPath,
  ["--test", "--test-timeout=180000", `--test-concurrency=${availableParallelism() + 1}`, ...chosen.toSorted()],
  {
    cwd: root,
    stdio: "inherit",
  },
)
process.exit(status ?? 1)
