/**
 * Tests of which `pnpm test` runs a share, with all they have: every bit flipped, every character, a gigabyte
 * (`pnpm test:thorough`). Those are the files that import `test/support/thorough.ts`.
 */
import { spawnSync } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const files = globSync("test/**/*.test.ts", { cwd: root, exclude: ["**/node_modules/**"] }).filter((file) =>
  readFileSync(`${root}${file}`, "utf8").includes("/support/thorough.ts"),
)
const { status } = spawnSync(
  process.execPath,
  ["--test", "--test-timeout=900000", `--test-concurrency=${availableParallelism()}`, ...files.toSorted()],
  { cwd: root, stdio: "inherit", env: { ...process.env, WEIGHLOCK_THOROUGH: "1" } },
)
process.exit(status ?? 1)
