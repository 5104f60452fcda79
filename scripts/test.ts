/**
 * Runs the tests: those of `test/` but the longest files, or the folders named (`pnpm test cli attacks`), whole. Says at the
 * end which files took longest.
 */
import { globSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { isLong, longFiles } from "./longest-files.ts"
import { runFiles } from "./run-files.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const wanted = process.argv.slice(2)
const files = globSync("test/**/*.test.ts", {
  cwd: root,
  exclude: ["test/engines/**", "test/interop/**", "**/node_modules/**"],
}).map((file) => file.replaceAll("\\", "/"))
const chosen =
  wanted.length === 0
    ? files.filter((file) => !isLong(file))
    : files.filter((file) => wanted.some((name) => file.includes(`test/${name}`)))
if (chosen.length === 0) {
  process.stderr.write(`no test file matches ${wanted.join(", ")}\n`)
  process.exit(2)
}
if (wanted.length === 0) {
  const others = files.length - chosen.length
  if (others !== longFiles.size) throw new Error("longest-files.ts names a file that is not there")
  process.stdout.write(`${others} long test files are run by pnpm test:thorough\n`)
}
runFiles(root, chosen)
