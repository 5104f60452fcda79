/**
 * A second dialect of S3: versitygw on a folder, built from the sources pinned in test/s3/go-tools, through the Go proxy.
 * Where Go is older than those sources ask for, or the proxy is not there, a test says so and is skipped; REQUIRE_S3=1 makes
 * the latter a failure.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

import { type Account, createBucket, freePort } from "./rgw.ts"

const execute = promisify(execFile)
const sources = fileURLToPath(new URL("../s3/go-tools", import.meta.url))
/** go.mod asks for it. */
const leastGo = 25

export class Versity {
  readonly endpoint: string
  readonly account: Account = { accessKeyId: "weighlocktest", secretAccessKey: "a-secret-for-tests" }
  readonly #folder: string
  readonly #child: ChildProcess

  private constructor(folder: string, endpoint: string, child: ChildProcess) {
    this.#folder = folder
    this.endpoint = endpoint
    this.#child = child
  }

  /** Or why there is none. */
  static async start(): Promise<Versity | string> {
    const folder = mkdtempSync(join(tmpdir(), "weighlock-versity-"))
    const missing = await build(folder)
    if (missing !== null) {
      rmSync(folder, { recursive: true })
      return missing
    }
    const port = await freePort()
    const data = join(folder, "data")
    mkdirSync(data)
    const env = { ...process.env, ROOT_ACCESS_KEY: "weighlocktest", ROOT_SECRET_KEY: "a-secret-for-tests" }
    const argv = ["--quiet", "--port", `127.0.0.1:${port}`, "posix", data]
    const child = spawn(join(folder, "versitygw"), argv, { env, stdio: "ignore" })
    const versity = new Versity(folder, `http://127.0.0.1:${port}`, child)
    for (let tries = 0; tries < 300; tries++) {
      if (await fetch(versity.endpoint).catch(() => null)) return versity
      await pause(100)
    }
    await versity.stop()
    throw new Error("versitygw does not answer")
  }

  async createBucket(name: string): Promise<void> {
    await createBucket(this.endpoint, this.account, name)
  }

  async stop(): Promise<void> {
    const exit = new Promise((resolve) => this.#child.once("exit", resolve))
    if (this.#child.exitCode === null && this.#child.kill("SIGKILL")) await exit
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

async function build(folder: string): Promise<string | null> {
  const version = await execute("go", ["version"]).catch(() => null)
  const minor = Number(/go1\.(\d+)/.exec(version?.stdout ?? "")?.[1] ?? 0)
  if (minor < leastGo) return `not checked: versitygw needs Go 1.${leastGo}`
  try {
    await execute("go", ["build", "-o", `${folder}/`, "tool"], { cwd: sources, timeout: 900_000 })
    return null
  } catch (cause) {
    if (process.env["REQUIRE_S3"] === "1") throw cause
    return `not checked: versitygw can't be built here: ${(cause as Error).message.slice(0, 200)}`
  }
}
