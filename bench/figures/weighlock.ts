/** The command as a user has it: packed, installed by npm into an empty folder, run by this Node with a home of its own. */
import { execFileSync, type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

import { type Ended, end, timed } from "./runs.ts"

// Not an import: the compiler has no name for a file of another project's that is right before and after the build.
type Pack = typeof import("../../test/packages/pack.ts")
const root = new URL("../../", import.meta.url)

export interface Server {
  readonly url: string
  readonly process: ChildProcess
  stop(): Promise<void>
}

export class Weighlock {
  /** Path of `main.js`, or of `main.ts` in the sources. */
  readonly main: string
  readonly #folder: string
  readonly #env: NodeJS.ProcessEnv

  private constructor(main: string, folder: string) {
    this.main = main
    this.#folder = folder
    this.#env = {
      ...process.env,
      HOME: folder,
      WEIGHLOCK_HOME: join(folder, "home"),
      WEIGHLOCK_TRUST: join(folder, "registry", "trust.json"),
      WEIGHLOCK_CACHE: this.cache,
    }
  }

  /** `folder`: its home, made here, with the first key and the trust root of `models.acme.example`. */
  static async open(folder: string, from: "packed" | "source"): Promise<Weighlock> {
    mkdirSync(folder, { recursive: true })
    const main = from === "packed" ? await install(join(folder, "installed")) : source
    const weighlock = new Weighlock(main, folder)
    await weighlock.run("init", join(folder, "registry"), "--origin", "models.acme.example", "--no-passphrase")
    return weighlock
  }

  get cache(): string {
    return join(this.#folder, "cache")
  }

  /** For a registry that begins a log of its own under the same trust root: who had seen the other one would call it a fork. */
  forget(): void {
    rmSync(join(this.#folder, "home", "seen"), { recursive: true, force: true })
  }

  /** Times one command, start of Node included. */
  run(...argv: readonly string[]): Promise<Ended> {
    return timed(process.execPath, [this.main, ...argv], { cwd: this.#folder, env: this.#env })
  }

  /** `data`: the registry's folder. */
  async serve(data: string, flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Server> {
    const argv = [this.main, "registry", "serve", "--data", data, "--log-level", "error", "--json", ...flags]
    const child = spawn(process.execPath, argv, {
      cwd: this.#folder,
      env: { ...this.#env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    })
    const line = await Promise.race([
      once(createInterface({ input: child.stdout }), "line") as Promise<[string]>,
      once(child, "exit").then(() => Promise.reject(new Error("the registry did not start"))),
    ])
    const { url } = JSON.parse(line[0]) as { url: string }
    return { url, process: child, stop: () => end(child) }
  }
}

const source = fileURLToPath(new URL("packages/cli/src/main.ts", root))

async function install(folder: string): Promise<string> {
  const { packAll } = (await import(new URL("test/packages/pack.ts", root).href)) as Pack
  mkdirSync(folder, { recursive: true })
  const tarballs = packAll(join(folder, "tarballs"))
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }))
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
  execFileSync("npm", ["install", ...quiet, ...tarballs], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] })
  return join(folder, "node_modules", "@weighlock", "cli", "dist", "main.js")
}
