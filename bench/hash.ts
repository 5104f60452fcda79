/**
 * Hashing a model folder against `openssl dgst -sha256` over the same files, paired runs, medians of the ratios.
 *
 *     npx -y pnpm@12.21.0 bench [--gib 2] [--runs 5]
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, openSync, rmSync, writeSync, closeSync, readdirSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { randomFillSync } from "node:crypto"
import { parseArgs } from "node:util"
import { hashFolder } from "@weighlock/manifest/node"

const { values } = parseArgs({
  options: { gib: { type: "string", default: "2" }, runs: { type: "string", default: "5" } },
})
const total = Number(values.gib) * 2 ** 30
const folder = mkdtempSync(join(tmpdir(), "weighlock-bench-"))

function makeFiles(name: string, count: number): string {
  const chunk = randomFillSync(Buffer.alloc(2 ** 24))
  const path = join(folder, name)
  execFileSync("mkdir", [path])
  for (let file = 0; file < count; file++) {
    const handle = openSync(join(path, `part-${file}.bin`), "w")
    for (let written = 0; written < total / count; written += chunk.length) writeSync(handle, chunk)
    closeSync(handle)
  }
  return path
}

async function seconds(task: () => Promise<unknown> | void): Promise<number> {
  const start = performance.now()
  await task()
  return (performance.now() - start) / 1000
}

function openssl(path: string): void {
  execFileSync("openssl", ["dgst", "-sha256", ...readdirSync(path).map((name) => join(path, name))], {
    stdio: "ignore",
  })
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN

async function compare(what: string, path: string, parts: boolean): Promise<void> {
  openssl(path) // into the page cache
  const pairs: { ours: number; theirs: number }[] = []
  for (let run = 0; run < Number(values.runs); run++) {
    pairs.push({ theirs: await seconds(() => openssl(path)), ours: await seconds(() => hashFolder(path, { parts })) })
  }
  const ratio = median(pairs.map(({ ours, theirs }) => theirs / ours))
  const rate = (time: number): string => `${(total / 1e9 / time).toFixed(2)} GB/s`
  process.stdout.write(
    `${what}: ${rate(median(pairs.map(({ ours }) => ours)))}, openssl ${rate(median(pairs.map(({ theirs }) => theirs)))}, ratio ${ratio.toFixed(2)}\n`,
  )
}

try {
  process.stdout.write(
    `${values.gib} GiB, ${availableParallelism()} cores, Node ${process.version}, ${values.runs} paired runs\n`,
  )
  await compare("verify 16 files (whole digests)", makeFiles("many", 16), false)
  await compare("publish one file (whole and part digests)", makeFiles("one", 1), true)
  process.stdout.write(`peak memory ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
