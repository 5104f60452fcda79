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

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  for (const command of ["sign", "publish"]) {
    test(`${command} stops on ${signal}: 130, no result, no file`, async () => {
      const rest = command === "sign" ? ["-o", cli.path("signed.json")] : ["--dry-run"]
      const argv = [
        main,
        command,
        "model",
        "--as",
        "acme/large@1.0.0",
        "--trust",
        "reg/trust.json",
        "--json",
        "--progress",
        "json",
        ...rest,
      ]
      const child = spawn(process.execPath, argv, {
        cwd: cli.folder,
        env: { ...process.env, ...cli.env },
        stdio: ["ignore", "pipe", "pipe"],
      })
      let stdout = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
      await new Promise((resolve) => child.stderr.once("data", resolve)) // it is hashing
      await pause(200)
      child.kill(signal)
      const code = await new Promise((resolve) => child.once("close", resolve))
      assert.equal(code, 130)
      assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, "INTERRUPTED")
      assert.equal(existsSync(cli.path("signed.json")), false)
    })
  }
}
