#!/usr/bin/env node
// First of all: better-sqlite3 crashes without a word on an old Node, and everything else below is imported only after this.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major < 22 || (major === 22 && minor < 13)) {
  process.stderr.write(`error USAGE: weighlock needs Node 22.13 or newer, this is ${process.version}\n`)
  process.exit(2)
}

const { version } = await import("./version.ts")
if (process.argv.length === 3 && process.argv[2] === "--version") {
  process.stdout.write(`${version}\n`) // what scripts ask before anything else: nothing more is loaded
  process.exit(0)
}
const { endProcess } = await import("@weighlock/node")
const { failure, run } = await import("./run.ts")

const stopSignals = ["SIGINT", "SIGTERM"] as const
let isDecided = false
let isStuck = false
function leave(code: number): never {
  isDecided = true
  // Leaving waits for every thread, and for one in a native call perhaps for ever. No listener runs meanwhile: without one the
  // system ends the process when it is asked again.
  for (const name of stopSignals) process.removeAllListeners(name)
  if (isStuck) endProcess(code)
  process.exit(code)
}

const stop = new AbortController()
let interrupted = false
for (const name of stopSignals) {
  process.on(name, () => {
    if (stop.signal.aborted) endProcess(130) // asked twice: now, whatever a thread is doing
    interrupted = name === "SIGINT"
    stop.abort(new DOMException("stopped", "AbortError"))
  })
}
process.stdout.on("error", () => leave(0)) // the reader of a pipe has gone

const argv = process.argv.slice(2)
const io = {
  env: process.env,
  cwd: process.cwd(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: stop.signal,
  onStuck: () => (isStuck = true),
  onHangup: (task: () => void) => {
    process.on("SIGHUP", task)
    return () => process.off("SIGHUP", task)
  },
}
// Node leaves when nothing is left to wait for but our answer, with 13: our callers would take that for DIGEST_MISMATCH.
process.once("exit", (code) => {
  if (isDecided || (code !== 0 && code !== 13)) return // 22 says 0 here
  process.exitCode = failure(argv, io, stop.signal.reason ?? new Error("the command ended before it was finished"))
})
const code = await run(argv, io, version)
leave(interrupted ? 130 : code)
