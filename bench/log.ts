/**
 * The log: publishes over HTTP, appends in the core, audits, proof verification; each with the ratio to what the disk and one
 * core can do at most in the same run.
 *
 *     npx -y pnpm@12.21.0 bench:log                            publishes, appends, verification
 *     npx -y pnpm@12.21.0 bench:log --entries 1000000          and audits of a log of so many entries
 *     npx -y pnpm@12.21.0 bench:log --only audit --entries 1000000 --log /var/tmp/million     kept, for the next time
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"

import { auditExport } from "./log/audit.ts"
import { appendInCore } from "./log/core.ts"
import { writeExport } from "./log/export-tree.ts"
import { describeMachine, measureMachine } from "./log/machine.ts"
import { publishOverHttp } from "./log/publish.ts"
import { verifyBundles } from "./log/verify.ts"
import { makeWorld } from "./log/world.ts"

const { values } = parseArgs({
  options: {
    publishes: { type: "string", default: "40000" },
    "in-flight": { type: "string", default: "128" },
    appends: { type: "string", default: "100000" },
    entries: { type: "string", default: "0" },
    only: { type: "string", default: "publish,core,audit" },
    /** Where the data lies: the disk that is measured. */
    folder: { type: "string", default: tmpdir() },
    /** The log to audit, `trust.json` beside it; made there when it is not. */
    log: { type: "string" },
  },
})
const only = new Set(values.only.split(","))
const entries = Number(values.entries)
const folder = mkdtempSync(join(values.folder, "weighlock-bench-"))
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const round = (number: number): string => Math.round(number).toLocaleString("en")

try {
  const world = await makeWorld(folder)
  const { syncs, hashes } = measureMachine(folder)
  const against = (rate: number): string => `${(rate / syncs).toFixed(2)} a sync, ${(rate / hashes).toFixed(4)} a hash`
  say(`${describeMachine()}; ${round(syncs)} syncs/s of 4 KiB, ${round(hashes)} hashes/s of 65 bytes on one core`)
  if (only.has("publish")) {
    const [publishes, inFlight] = [Number(values.publishes), Number(values["in-flight"])]
    const run = await publishOverHttp(folder, world, { publishes, inFlight, warmUp: 20_000 })
    const { perSecond, p50, p99 } = run
    say(
      `publish over HTTP, ${round(publishes)} at ${inFlight} in flight: ${round(perSecond)}/s (${against(perSecond)}), p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
    )
    const verified = await verifyBundles(run.url, world, run.bundles)
    say(
      `verify a bundle with its proof: p50 ${verified.p50.toFixed(2)} ms, p99 ${verified.p99.toFixed(2)} ms, the first ${verified.first.toFixed(1)} ms (${verified.count} bundles)`,
    )
    await run.stop()
  }
  if (only.has("core")) {
    const rate = await appendInCore(folder, world, Number(values.appends), 512)
    say(`append in the core, ${round(Number(values.appends))} in batches of 512: ${round(rate)}/s (${against(rate)})`)
  }
  if (only.has("audit") && entries > 0) {
    const home = values.log ?? folder
    const [log, trust] = [join(home, "log"), join(home, "trust.json")]
    if (!existsSync(join(log, "checkpoint"))) {
      mkdirSync(home, { recursive: true })
      await writeExport(log, values.log === undefined ? world : await makeWorld(home), entries)
    }
    for (const hashOnly of [false, true]) {
      const { seconds, rss } = await auditExport(log, trust, join(folder, `state-${hashOnly}`), hashOnly)
      const rate = entries / seconds
      say(
        `${hashOnly ? "hash-only" : "full"} audit of ${round(entries)} entries: ${seconds.toFixed(1)} s, ${round(rate)}/s (${against(rate)}), ${round(rss / 2 ** 20)} MiB at most`,
      )
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
