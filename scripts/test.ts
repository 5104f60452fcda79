/**
 * Runs the tests: all of `test/`, or the folders named (`pnpm test cli attacks`). One process per file, as many at once
 * as there are cores, and one more: a test often waits. Says at the end which files took longest.
 *
 * The time limit is for tests that hang: a machine that is slow and busy takes minutes for what takes seconds elsewhere.
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
  [
    "--test",
    "--test-timeout=900000",
    `--test-concurrency=${availableParallelism() + 1}`,
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    `--test-reporter=${import.meta.resolve("./slowest-files.ts")}`,
    "--test-reporter-destination=stdout",
    ...chosen.toSorted(),
  ],
  {
    cwd: root,
    stdio: "inherit",
  },
)
process.exit(status ?? 1)
