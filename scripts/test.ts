/** Runs the tests: all of `test/`, or the folders named (`pnpm test cli attacks`). Says at the end which files took longest. */
import { globSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { runFiles } from "./run-files.ts"

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
runFiles(root, chosen)
