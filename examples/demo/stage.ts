/** Runs the real CLI in processes of its own, in a folder of its own, and leaves neither behind. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const cli = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A long-running command, once it has printed its first line. */
export interface Started {
  readonly announced: { readonly url: string; readonly pid: number }
  stop(): Promise<void>
}

export class Stage {
  readonly folder: string = mkdtempSync(join(tmpdir(), "weighlock-demo-"))
  readonly #children = new Set<ChildProcess>()

  constructor() {
    process.once("exit", () => {
      for (const child of this.#children) child.kill("SIGKILL")
      rmSync(this.folder, { recursive: true, force: true })
    })
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130))
  }

  path(...names: readonly string[]): string {
    return join(this.folder, ...names)
  }

  /** `who` has a home and a cache of his own; nothing of the user's real settings is read. */
  #spawn(who: string, argv: readonly string[]): ChildProcess {
    const own = {
      HOME: this.path(who),
      WEIGHLOCK_HOME: this.path(who, "keys"),
      WEIGHLOCK_CACHE: this.path(who, "cache"),
      XDG_CONFIG_HOME: this.path(who, "config"),
    }
    const inherited = Object.entries(process.env).filter(
      ([name]) => !name.startsWith("WEIGHLOCK_") && !name.startsWith("XDG_"),
    )
    const child = spawn(process.execPath, [cli, ...argv], {
      cwd: this.folder,
      env: { ...Object.fromEntries(inherited), ...own },
      stdio: ["ignore", "pipe", "pipe"],
    })
    this.#children.add(child)
    child.once("exit", () => this.#children.delete(child))
    return child
  }

  run(who: string, argv: readonly string[]): Promise<Outcome> {
    const child = this.#spawn(who, argv)
    let [stdout, stderr] = ["", ""]
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text))
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text))
    return new Promise((resolve) => child.once("close", (code) => resolve({ code: code ?? -1, stdout, stderr })))
  }

  /** As `run`, and what it should not do is fail. */
  async must(who: string, argv: readonly string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await this.run(who, [...argv, "--json"])
    if (code !== 0) throw new Error(`weighlock ${argv.join(" ")} ended with ${code}: ${stdout}${stderr}`)
    return JSON.parse(stdout) as Record<string, unknown>
  }

  async start(who: string, argv: readonly string[]): Promise<Started> {
    const child = this.#spawn(who, [...argv, "--json"])
    let stderr = ""
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-4000)))
    if (child.stdout === null) throw new Error("no stdout")
    const ended = new Promise<never>((_, reject) =>
      child.once("close", (code) => reject(new Error(`weighlock ${argv.join(" ")} ended with ${code}: ${stderr}`))),
    )
    ended.catch(() => undefined)
    const line = await Promise.race([
      new Promise<string>((resolve) => createInterface({ input: child.stdout! }).once("line", resolve)),
      ended,
    ])
    return {
      announced: JSON.parse(line) as Started["announced"],
      stop: async () => {
        child.kill("SIGTERM")
        await ended.catch(() => undefined)
      },
    }
  }
}
