/**
 * Other people's Go code, built from pinned sources: Go's own sumdb packages (`go/`), and the tools of `go-tools/`
 * (torchwood's litewitness, tessera's fsck). Versions and hashes are in their go.mod and go.sum.
 *
 * Where Go or the module proxy is missing a test says so and is skipped; REQUIRE_GO=1 makes that a failure.
 */
import { execFile, type ExecFileOptions } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { TestContext } from "node:test"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const sources = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
/** Where Debian's golang-golang-x-mod-dev puts its sources. */
const debian = "/usr/share/gocode"

const execute = promisify(execFile)

/** What it printed on both streams; rejects with what it complained of. */
export async function run(command: string, argv: readonly string[], options: ExecFileOptions = {}): Promise<string> {
  try {
    const { stdout, stderr } = await execute(command, argv, { maxBuffer: 2 ** 26, ...options, encoding: "utf8" })
    return stdout + stderr
  } catch (cause) {
    const { stdout, stderr, message } = cause as { stdout?: string; stderr?: string; message: string }
    throw new Error(`${command}: ${stderr?.trim() || stdout?.trim() || message}`, { cause })
  }
}

async function attempt(t: TestContext, what: string, build: () => Promise<unknown>): Promise<boolean> {
  try {
    await build()
    return true
  } catch (cause) {
    if (process.env["REQUIRE_GO"]) throw cause
    t.skip(`not checked: ${what} can't be built here: ${(cause as Error).message.split("\n").slice(0, 3).join(" ")}`)
    return false
  }
}

/** The path of `check`, or null when the test was skipped. Any Go from 1.19 will do. */
export async function buildCheck(t: TestContext, folder: string): Promise<string | null> {
  const out = join(folder, "check")
  const cwd = sources("go")
  const built = await attempt(t, "a reader of logs with Go's sumdb", async () => {
    try {
      await run("go", ["build", "-o", out, "."], { cwd })
    } catch (error) {
      if (!existsSync(join(debian, "src/golang.org/x/mod"))) throw error
      await run("go", ["build", "-o", out, "."], { cwd, env: { ...process.env, GO111MODULE: "off", GOPATH: debian } })
    }
  })
  return built ? out : null
}

export interface GoTools {
  readonly agent: string
  readonly proof: string
  readonly litewitness: string
  readonly fsck: string
}

/** Null, and said so, where Go is older than 1.25, which these tools need. */
export async function buildTools(t: TestContext, folder: string): Promise<GoTools | null> {
  const [, minor = "0"] = /go1\.(\d+)/.exec(await run("go", ["version"]).catch(() => "")) ?? []
  if (Number(minor) > 0 && Number(minor) < 25) {
    t.diagnostic(`not checked: litewitness and fsck need Go 1.25, this is 1.${minor}`)
    return null
  }
  const built = await attempt(t, "litewitness and fsck", async () => {
    await run("go", ["build", "-o", `${folder}/`, "./agent", "./proof", "tool"], { cwd: sources("go-tools") })
  })
  const [agent, proof, litewitness, fsck] = ["agent", "proof", "litewitness", "fsck"].map((name) => join(folder, name))
  return built && agent && proof && litewitness && fsck ? { agent, proof, litewitness, fsck } : null
}
