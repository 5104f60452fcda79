/** A real process, a large file, a signal: it stops at once, says so, and leaves nothing. */
import assert from "node:assert/strict"
import { execFileSync, spawn } from "node:child_process"
import { existsSync, truncateSync, writeFileSync, mkdirSync } from "node:fs"
import { after, test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Cli } from "../support/cli.ts"

const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
const cli = new Cli()
mkdirSync(cli.path("model"))
writeFileSync(cli.path("model", "large.bin"), "")
truncateSync(cli.path("model", "large.bin"), 64 * 2 ** 30) // sparse: half a minute of hashing, no disk
await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
after(() => cli.close())

const options = ["--as", "acme/large@1.0.0", "--trust", "reg/trust.json", "--json", "--progress", "json"]

function start(command: string, rest: readonly string[], nodeOptions: readonly string[] = []) {
  return spawn(process.execPath, [...nodeOptions, main, command, "model", ...options, ...rest], {
    cwd: cli.folder,
    env: { ...process.env, ...cli.env },
    stdio: ["ignore", "pipe", "pipe"],
  })
}

function hashing(...what: Parameters<typeof start>) {
  const child = start(...what)
  let stdout = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
  const ended = new Promise<{ code: number | null; error: { code: string } }>((resolve) =>
    child.once("close", (code) => resolve({ code, ...(JSON.parse(stdout) as { error: { code: string } }) })),
  )
  return { child, ended }
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  for (const command of ["sign", "publish"]) {
    test(`${command} stops on ${signal}: 130, no result, no file`, async () => {
      const rest = command === "sign" ? ["-o", cli.path("signed.json")] : ["--dry-run"]
      const { child, ended } = hashing(command, rest)
      await new Promise((resolve) => child.stderr.once("data", resolve)) // it is hashing
      await pause(200)
      child.kill(signal)
      const { code, error } = await ended
      assert.deepEqual([code, error.code], [130, "INTERRUPTED"])
      assert.equal(existsSync(cli.path("signed.json")), false)
    })
  }
}

test("a process that Node ends too early says so, not with 13, which is DIGEST_MISMATCH", async () => {
  const preload = `import { Worker } from "node:worker_threads"; Worker.prototype.ref = Worker.prototype.unref`
  const { ended } = hashing(
    "sign",
    ["-o", cli.path("early.json")],
    ["--import", `data:text/javascript,${encodeURIComponent(preload)}`],
  )
  const { code, error } = await ended
  assert.deepEqual([code, error.code], [1, "INTERNAL"])
  assert.equal(existsSync(cli.path("early.json")), false)
})

/** A thread that waits in the kernel, where nothing in the process can end it: `process.exit` waits for it for ever. */
function stuckThread(): readonly string[] {
  const pipe = cli.path("pipe")
  if (!existsSync(pipe)) execFileSync("mkfifo", [pipe])
  const program = "require('fs').openSync(require('worker_threads').workerData)"
  const preload = `import { Worker } from "node:worker_threads"
    new Worker(${JSON.stringify(program)}, { eval: true, workerData: ${JSON.stringify(pipe)} }).unref()`
  return ["--import", `data:text/javascript,${encodeURIComponent(preload)}`]
}

for (const [what, signals] of [
  ["after the command has ended", ["SIGINT"]],
  ["while it ends", ["SIGINT", "SIGTERM"]],
] as const) {
  test(`a thread is stuck in a native call: a second signal ends the process, ${what}`, async (t) => {
    if (process.platform === "win32") return t.skip("not checked: Windows has no named pipes of this kind")
    const child = start("sign", ["-o", cli.path("stuck.json")], stuckThread())
    t.after(() => child.kill("SIGKILL"))
    const ended = new Promise<unknown[]>((resolve) => child.once("exit", (...how) => resolve(how)))
    await new Promise((resolve) => child.stderr.once("data", resolve)) // it is hashing
    for (const signal of signals) child.kill(signal)
    if (signals.length === 1) await new Promise((resolve) => child.stdout.once("data", resolve)) // it says that it was stopped
    const again = setInterval(() => child.kill("SIGINT"), 100)
    const [code, signal] = await ended
    clearInterval(again)
    const ways = ["130", "SIGINT", "SIGTERM", "SIGKILL"] // the last before Node 22.15
    assert.ok(ways.includes(String(code ?? signal)), `${String(code)} ${String(signal)}`)
  })
}
