/** The CLI in a folder of its own: `run` for commands that end, `start` for those that announce themselves and go on. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { type Io, run, version } from "@weighlock/cli"

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Background {
  readonly argv: readonly string[]
  /** The first line of stdout, parsed. */
  readonly announced: { readonly url: string; readonly pid: number; readonly [key: string]: unknown }
  stop(): Promise<number>
}

export class Cli {
  readonly folder: string
  readonly env: Record<string, string>
  readonly #running = new Set<Background>()

  constructor(env: Record<string, string> = {}) {
    this.folder = mkdtempSync(join(tmpdir(), "weighlock-cli-"))
    this.env = {
      HOME: this.folder,
      WEIGHLOCK_HOME: join(this.folder, "home"),
      WEIGHLOCK_CACHE: join(this.folder, "cache"),
      ...env,
    }
  }

  path(...names: readonly string[]): string {
    return join(this.folder, ...names)
  }

  async run(...argv: readonly string[]): Promise<Outcome> {
    let [stdout, stderr] = ["", ""]
    const io = this.#io(
      new AbortController().signal,
      (text) => (stdout += text),
      (text) => (stderr += text),
    )
    return { code: await run(argv, io, version), stdout, stderr }
  }

  /** Runs, expects success, and returns the JSON document. */
  async json(...argv: readonly string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await this.run(...argv, "--json")
    if (code !== 0) throw new Error(`weighlock ${argv.join(" ")} ended with ${code}: ${stdout}${stderr}`)
    return JSON.parse(stdout) as Record<string, unknown>
  }

  /** The error code of a command that must fail. */
  async refusal(...argv: readonly string[]): Promise<{ exit: number; code: string }> {
    const { code: exit, stdout } = await this.run(...argv, "--json")
    const { error } = JSON.parse(stdout) as { error?: { code: string } }
    return { exit, code: error?.code ?? "none" }
  }

  async start(...argv: readonly string[]): Promise<Background> {
    const stop = new AbortController()
    let [stdout, stderr] = ["", ""]
    const first = Promise.withResolvers<string>()
    const io = this.#io(
      stop.signal,
      (text) => {
        stdout += text
        if (stdout.includes("\n")) first.resolve(stdout.slice(0, stdout.indexOf("\n")))
      },
      (text) => (stderr += text),
    )
    const ended = run([...argv, "--json"], io, version)
    const line = await Promise.race([
      first.promise,
      ended.then((code) => Promise.reject(new Error(`ended with ${code}: ${stdout}${stderr}`))),
    ])
    const background: Background = {
      argv,
      announced: JSON.parse(line) as Background["announced"],
      stop: async () => {
        this.#running.delete(background)
        stop.abort(new DOMException("stopped", "AbortError"))
        return await ended
      },
    }
    this.#running.add(background)
    return background
  }

  /** Ends what was started last with this command. */
  async stop(command: string): Promise<void> {
    await [...this.#running].findLast(({ argv }) => argv[0] === command)?.stop()
  }

  async close(): Promise<void> {
    for (const background of this.#running) await background.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  #io(signal: AbortSignal, out: (text: string) => void, err: (text: string) => void): Io {
    return {
      env: this.env,
      cwd: this.folder,
      stdin: Readable.from([]),
      stdout: { write: out },
      stderr: { write: err },
      signal,
    }
  }
}
