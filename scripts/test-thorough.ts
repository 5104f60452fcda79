/**
 * Tests of which `pnpm test` runs a share, with all they have: every bit flipped, every character, a gigabyte; and the
 * longest files, of which it runs nothing (`pnpm test:thorough`, or those of the folders named). The former are those that
 * import `test/support/thorough.ts`, the latter stand in `longest-files.ts`.
 */
import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { isLong } from "./longest-files.ts"
import { runFiles } from "./run-files.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const wanted = process.argv.slice(2)
const files = globSync("test/**/*.test.ts", { cwd: root, exclude: ["**/node_modules/**"] })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => isLong(file) || readFileSync(`${root}${file}`, "utf8").includes("/support/thorough.ts"))
  .filter((file) => wanted.length === 0 || wanted.some((name) => file.includes(`test/${name}`)))
if (files.length === 0) {
  process.stderr.write(`no test file with a thorough form matches ${wanted.join(", ")}\n`)
  process.exit(2)
}
process.env["WEIGHLOCK_THOROUGH"] = "1"
runFiles(root, files)
