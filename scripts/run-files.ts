/**
 * Runs test files, one process per file, as many at once as there are cores, and one more: a test often waits. The files
 * that take longest begin first, since the end would otherwise be one of them alone.
 *
 * The time limit is for tests that hang: a machine that is slow and busy takes minutes for what takes seconds elsewhere.
 */
import { availableParallelism } from "node:os"
import { run } from "node:test"
import { spec } from "node:test/reporters"
import { longestFirst } from "./longest-files.ts"
import { slowestFiles } from "./slowest-files.ts"

/** `files` are paths below `root`. Sets the exit code of this process. */
export function runFiles(root: string, files: readonly string[]): void {
  process.chdir(root)
  const stop = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop.abort())
  // `node --test` sorts what it is given by name; this runs them as they come.
  const events = run({
    files: longestFirst(files).map((file) => root + file),
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
}
