/**
 * Tests of which `pnpm test` runs a share, with all they have: every bit flipped, every character, a gigabyte
 * (`pnpm test:thorough`, or those of the folders named). Those are the files that import `test/support/thorough.ts`.
 */
import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { runFiles } from "./run-files.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const wanted = process.argv.slice(2)
const files = globSync("test/**/*.test.ts", { cwd: root, exclude: ["**/node_modules/**"] })
  .filter((file) => readFileSync(`${root}${file}`, "utf8").includes("/support/thorough.ts"))
  .filter((file) => wanted.length === 0 || wanted.some((name) => file.includes(`test/${name}`)))
if (files.length === 0) {
  process.stderr.write(`no test file with a thorough form matches ${wanted.join(", ")}\n`)
  process.exit(2)
}
process.env["WEIGHLOCK_THOROUGH"] = "1"
runFiles(root, files)
