/**
 * Contenders take turns: one run each that is not counted, then so many rounds, every second one in reverse order, so that
 * what the machine does beside it meets all of them alike.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"

export interface Contender {
  readonly label: string
  /** The value of one run, in the figure's unit. */
  run(): Promise<number>
}

/** By label, in the order of the contenders: one value a round. */
export type Results = ReadonlyMap<string, readonly number[]>

export async function alternate(contenders: readonly Contender[], rounds: number): Promise<Results> {
  const results = new Map<string, number[]>(contenders.map(({ label }) => [label, []]))
  for (const contender of contenders) await quietly(contender)
  for (let round = 0; round < rounds; round++) {
    for (const contender of round % 2 === 0 ? contenders : contenders.toReversed())
      results.get(contender.label)?.push(await quietly(contender))
  }
  return results
}

/** What those before left for the disk is written first: a contender that syncs would wait for it, and no other. */
async function quietly(contender: Contender): Promise<number> {
  spawnSync("sync")
  return await contender.run()
}

export interface Ended {
  readonly seconds: number
  /** The most memory that the process itself held, MiB; not of its children. */
  readonly rss: number
  readonly stdout: string
}

export interface Started {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

const running = new Set<ChildProcess>()

/** For a signal: what `timed` waits for does not outlive us. */
export async function endAll(): Promise<void> {
  await Promise.all([...running].map((child) => end(child, "SIGKILL")))
}

/** Runs a program to its end. What it complained of is in the error when it fails. */
export async function timed(command: string, argv: readonly string[], options: Started = {}): Promise<Ended> {
  const start = performance.now()
  const child = spawn(command, argv, { ...options, stdio: ["ignore", "pipe", "pipe"] })
  running.add(child)
  child.once("exit", () => running.delete(child))
  const memory = watchMemory(child)
  let [stdout, stderr] = ["", ""]
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  const code = await new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve))
  const seconds = (performance.now() - start) / 1000
  const rss = memory()
  if (code !== 0) throw new Error(`${command} ${argv.join(" ")} ended with ${code}: ${stderr.trim() || stdout.trim()}`)
  return { seconds, rss, stdout }
}

/** The kernel keeps the highest value itself: a look now and then misses only what grew after the last one. */
function watchMemory({ pid }: ChildProcess): () => number {
  let kib = 0
  const look = (): void => {
    try {
      kib = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? kib)
    } catch {
      // Gone, or not Linux.
    }
  }
  const timer = setInterval(look, 20)
  return () => {
    clearInterval(timer)
    return kib / 1024
  }
}

/** Ends a process of ours and waits until it has gone. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once("exit", resolve))
  child.kill(signal)
  await gone
}
