/**
 * Kills, failing disks and edited rows, judged by a checker that shares no code with the product; and transfers that are
 * killed, shared and large, and uploads whose registry is killed, in a folder and in a bucket of a Ceph RGW: `pnpm test:faults`.
 *
 *     pnpm test:faults             the short form, a few minutes
 *     pnpm test:faults --all       the long form: kill -9 200 times under load, and every place of the first start; 2 GiB
 *                                  killed 50 times in each place, and 20 GiB in flat memory (needs 65 GB of disk)
 *     pnpm test:faults tamper      the files that begin so
 *
 * Says what it could not check where strace or Ceph is missing; REQUIRE_STRACE=1 and REQUIRE_S3=1 make that a failure.
 */
import { spawnSync } from "node:child_process"
import { globSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const { values, positionals } = parseArgs({ options: { all: { type: "boolean" } }, allowPositionals: true })
const folder = fileURLToPath(new URL("../test/faults/", import.meta.url))
const files = globSync("*.fault.ts", { cwd: folder })
  .filter((file) => positionals.length === 0 || positionals.some((name) => file.startsWith(name)))
  .toSorted()
const { status } = spawnSync(process.execPath, ["--test", "--test-concurrency=1", ...files], {
  cwd: folder,
  stdio: "inherit",
  env: { ...process.env, ...(values.all === true && { WEIGHLOCK_FAULTS: "all" }) },
})
process.exit(status ?? 1)
