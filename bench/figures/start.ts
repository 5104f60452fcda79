/** How long a user waits: for the command to start, and from a clone to the first answer of a verified model. */
import { execFileSync, spawn } from "node:child_process"
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

import { type Bench, commandFor } from "./bench-context.ts"
import { barsOf, type Figure, median, ratioGoal, short } from "./figure.ts"
import { alternate, timed } from "./runs.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

export async function* measureVersion(bench: Bench): AsyncGenerator<Figure> {
  const { main } = await bench.weighlock()
  const ms = async (...argv: string[]): Promise<number> => (await timed(process.execPath, argv)).seconds * 1000
  const [ours, bare] = ["weighlock --version", "node -e 0"]
  // Many short runs: one of them is the luck of the scheduler.
  const contenders = [
    { label: ours, run: () => ms(main, "--version") },
    { label: bare, run: () => ms("-e", "0") },
  ]
  const results = await alternate(contenders, bench.rounds * 6)
  const goal = ratioGoal(results, "less", { ours, against: bare, atLeast: 1 / 1.5, text: "≤ 1.5 × bare node" })
  yield {
    name: "version",
    title: "Start: weighlock --version",
    unit: "ms",
    better: "less",
    bars: barsOf(results, [ours]),
    goals: goal === null ? [] : [goal],
    notes: ["Each is a process from spawn to exit."],
    command: commandFor("version"),
    setting: `the packed command, installed elsewhere; ${bench.rounds * 6} starts each`,
  }
}

const limit = 90

export async function* measureClone(bench: Bench): AsyncGenerator<Figure> {
  const label = "clone to answer"
  const times: number[] = []
  // Each run downloads everything again: two are enough to see that it was no accident.
  for (let round = 0; round < Math.min(2, bench.rounds); round++)
    times.push(await cloneAndPredict(join(bench.folder, "clone")))
  const results = new Map([[label, times]])
  const seconds = median(times)
  yield {
    name: "clone",
    title: "From a clone to the first verified prediction",
    unit: "s",
    better: "less",
    bars: barsOf(results, [label]),
    goals: [{ text: `≤ ${limit} s`, found: `${short(seconds)} s`, met: seconds <= limit, at: limit }],
    notes: [
      "`git clone` of the last commit, then `npx -y pnpm@12.21.0 demo` with empty caches for npm and pnpm, until the demo prints its first answer. The demo trains the model on 60,000 digits first; packages come over this machine's network.",
    ],
    command: commandFor("clone"),
    setting: "nothing cached",
  }
}

async function cloneAndPredict(folder: string): Promise<number> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  const checkout = join(folder, "checkout")
  const start = performance.now()
  execFileSync("git", ["clone", "--quiet", "--no-hardlinks", root, checkout], {
    stdio: ["ignore", "ignore", "inherit"],
  })
  const child = spawn("npx", ["-y", "pnpm@12.21.0", "demo"], {
    cwd: checkout,
    env: { ...process.env, ...emptyCaches(folder) },
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
  })
  const gone = new Promise((resolve) => child.once("exit", resolve))
  let seconds: number | null = null
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.includes("Every answer names its model")) continue
    seconds = (performance.now() - start) / 1000
    break
  }
  try {
    // The demo's servers are children of its own: the whole group is ours to end.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGTERM")
  } catch {
    // Ended by itself.
  }
  await gone
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  if (seconds === null) throw new Error("the demo ended without an answer")
  return seconds
}

/** Where npm and pnpm keep what they have downloaded; settings such as the registry stay the user's. */
function emptyCaches(folder: string): Record<string, string> {
  const places = { XDG_DATA_HOME: "data", XDG_CACHE_HOME: "cache", XDG_STATE_HOME: "state", npm_config_cache: "npm" }
  return {
    ...Object.fromEntries(Object.entries(places).map(([name, place]) => [name, join(folder, place)])),
    npm_config_store_dir: join(folder, "store"),
    pnpm_config_store_dir: join(folder, "store"),
    CI: "true",
  }
}
