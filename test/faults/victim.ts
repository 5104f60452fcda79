/** The registry under test as a process: started, killed, started again on the same folder. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import type { TestContext } from "node:test"
import { fileURLToPath } from "node:url"

import { Peer, type World } from "../registry/support.ts"

const script = fileURLToPath(new URL("registry-child.ts", import.meta.url))

export interface Victim {
  readonly peer: Peer
  /** Of the registry itself. */
  readonly pid: number
  signal(name: "SIGTERM" | "SIGKILL"): void
  /** What it complained of so far. */
  stderr(): string
  /** Resolves when it is gone: its exit code, or the signal's name. */
  readonly gone: Promise<number | string>
}

export class StartRefused extends Error {
  override readonly name = "StartRefused"
  readonly stderr: string

  constructor(ended: number | string, stderr: string) {
    super(`the registry did not start: ${ended}: ${stderr}`)
    this.stderr = stderr
  }
}

/**
 * One thread in libuv's pool: file operations come one after the other, in the same order every time. `under`: a command that
 * runs it, such as strace.
 */
export async function startVictim(
  t: TestContext,
  world: World,
  config: object = {},
  under: readonly string[] = [],
): Promise<Victim> {
  const words = { data: join(world.folder, "data"), trust: world.trust, ...config }
  const own = [process.execPath, script, JSON.stringify(words)] as const
  const [command, ...argv]: readonly [string, ...string[]] = under.length > 0 ? ["env", ...under, ...own] : own
  const child = spawn(command, argv, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, UV_THREADPOOL_SIZE: "1" },
  })
  let stderr = ""
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  const gone = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string)
  const line = once(child.stdout, "data") as Promise<[Buffer]>
  const first = await Promise.race([line, gone])
  if (!Array.isArray(first)) throw new StartRefused(first, stderr)
  const { url, pid } = JSON.parse(first[0].toString()) as { url: string; pid: number }
  const signal = (name: "SIGTERM" | "SIGKILL"): void => {
    if (child.exitCode === null && child.signalCode === null) process.kill(pid, name)
  }
  t.after(() => signal("SIGKILL"))
  const peer = new Peer(url, world, async () => {
    signal("SIGTERM")
    await gone
  })
  return { peer, pid, signal, stderr: () => stderr, gone }
}

export async function kill(victim: Victim): Promise<void> {
  victim.signal("SIGKILL")
  await victim.gone
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
