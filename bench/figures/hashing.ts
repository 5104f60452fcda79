/**
 * Whole commands over files in the page cache, against `openssl dgst -sha256` over the same files: what a user waits for,
 * the start of Node and the check of the signature included.
 */
import { join } from "node:path"

import { type Bench, commandFor, gib, programAt } from "./bench-context.ts"
import { barsOf, type Figure, ratioGoal } from "./figure.ts"
import { makeFiles } from "./files.ts"
import { alternate, timed } from "./runs.ts"

interface Work {
  readonly name: string
  readonly title: string
  readonly label: string
  readonly files: number
  readonly atLeast: number
  readonly notes: readonly string[]
}

const peer = "openssl dgst -sha256"

export const measureVerify = (bench: Bench): AsyncIterable<Figure> =>
  measure(bench, {
    name: "verify",
    title: "Verify a folder of 16 files",
    label: "weighlock verify",
    files: 16,
    atLeast: 1.8,
    notes: ["openssl hashes on one core; that it does not use the other one is part of the comparison."],
  })

export const measureSign = (bench: Bench): AsyncIterable<Figure> =>
  measure(bench, {
    name: "sign",
    title: "Hash one file for publishing: whole and part digests",
    label: "weighlock sign",
    files: 1,
    atLeast: 0.9,
    notes: ["`sign` reads every byte once and computes two digests of it; openssl computes one."],
  })

async function* measure(bench: Bench, work: Work): AsyncGenerator<Figure> {
  const openssl = programAt("openssl")
  if (openssl === null) bench.say("not measured: openssl is not installed")
  const weighlock = await bench.weighlock()
  const path = join(bench.folder, work.name)
  const files = makeFiles(path, bench.hashed, work.files)
  const sign = ["sign", path, "--as", "acme/big@1.0.0", "--format", "other", "-o"]
  const envelope = join(bench.folder, `${work.name}.envelope.json`)
  const rates = new Map<string, number>()
  const rate = (seconds: number): number => bench.hashed / 1e9 / seconds
  const ours = async (): Promise<number> => {
    const argv =
      work.name === "verify" ? ["verify", path, "--bundle", envelope] : [...sign, `${envelope}.${Date.now()}`]
    const { seconds, rss } = await weighlock.run(...argv)
    rates.set(work.label, Math.max(rss, rates.get(work.label) ?? 0))
    return rate(seconds)
  }
  if (work.name === "verify") await weighlock.run(...sign, envelope)
  const theirs = async (): Promise<number> => rate((await timed(openssl ?? "", ["dgst", "-sha256", ...files])).seconds)
  const contenders = [{ label: work.label, run: ours }, ...(openssl === null ? [] : [{ label: peer, run: theirs }])]
  const results = await alternate(contenders, bench.rounds)
  const memory = new Map([...rates].map(([label, mib]) => [label, `${Math.round(mib)} MiB`]))
  const goal = ratioGoal(results, "more", {
    ours: work.label,
    against: peer,
    atLeast: work.atLeast,
    text: `≥ ${work.atLeast} × ${peer}`,
  })
  yield {
    name: work.name,
    title: work.title,
    unit: "GB/s",
    better: "more",
    bars: barsOf(results, [work.label], memory),
    goals: goal === null ? [] : [goal],
    notes: work.notes,
    command: commandFor(work.name),
    setting: `${gib(bench.hashed)} in ${work.files === 1 ? "one file" : `${work.files} files`}, in the page cache`,
  }
}
