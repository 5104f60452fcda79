/** A real process, a large file, a signal: it stops at once, says so, and leaves nothing. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
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

function hashing(command: string, rest: readonly string[], nodeOptions: readonly string[] = []) {
  const child = spawn(process.execPath, [...nodeOptions, main, command, "model", ...options, ...rest], {
    cwd: cli.folder,
    env: { ...process.env, ...cli.env },
    stdio: ["ignore", "pipe", "pipe"],
  })
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
