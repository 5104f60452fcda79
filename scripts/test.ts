/**
 * Runs the tests: all of `test/`, or the folders named (`pnpm test cli attacks`). One process per file, as many at once
 * as there are cores, and one more: a test often waits. The files that take longest begin first, since the end would
 * otherwise be one of them alone. Says at the end which files took longest.
 *
 * The time limit is for tests that hang: a machine that is slow and busy takes minutes for what takes seconds elsewhere.
 */
import { globSync } from "node:fs"
import { availableParallelism } from "node:os"
import { run } from "node:test"
import { spec } from "node:test/reporters"
import { fileURLToPath } from "node:url"
import { longestFirst } from "./longest-files.ts"
import { slowestFiles } from "./slowest-files.ts"

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
process.chdir(root)
const stop = new AbortController()
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop.abort())
// `node --test` sorts what it is given by name; this runs them as they come.
const events = run({
  files: longestFirst(chosen).map((file) => root + file),
  concurrency: availableParallelism() + 1,
  timeout: 900_000,
  signal: stop.signal,
})
// Until the summary of all files says otherwise, something went wrong.
process.exitCode = 1
events.on("test:summary", ({ file, success }) => {
  if (file === undefined && success) process.exitCode = 0
})
events.pipe(new spec()).pipe(process.stdout)
events.compose(slowestFiles).pipe(process.stdout)
