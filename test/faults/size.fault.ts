/**
 * A model of 20 GiB, 40 files of 512 MiB and 2,000 small ones, goes in and out in flat memory. Only in the long form: it needs
 * three real copies on disk. Where there is less room, it takes as many of the large files as fit, and says so.
 */
import assert from "node:assert/strict"
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { join } from "node:path"
import { test } from "node:test"

import { hashFolder } from "@weighlock/manifest/node"
import { type Command, mib, openCountedShop, reference } from "./counted-shop.ts"

const isLong = process.env["WEIGHLOCK_FAULTS"] === "all"
const skip = process.platform !== "linux" ? "not checked: /proc is needed" : !isLong && "only in the long form: --all"
const largeSize = 512 * mib
const smallCount = 2000

/** The most memory it ever had, MiB; 0 for a process that has ended. */
function peak(pid: number | undefined): number {
  const [, kib = "0"] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
  return Math.round(Number(kib) / 1024)
}

/** Sparse: some bytes at the beginning, in the middle and at the end of each. */
function makeSparse(folder: string, count: number): void {
  mkdirSync(join(folder, "small"), { recursive: true })
  for (let i = 0; i < count; i++) {
    const file = openSync(join(folder, `shard-${i}.bin`), "wx")
    ftruncateSync(file, largeSize)
    for (const at of [0, largeSize / 2 + 7, largeSize - 20]) writeSync(file, `shard ${i} at ${at}`.slice(0, 20), at)
    closeSync(file)
  }
  for (let i = 0; i < smallCount; i++) writeFileSync(join(folder, `small/${i}.json`), JSON.stringify({ small: i }))
}

async function peakOf({ child, ended }: Command): Promise<{ memory: number; seconds: number }> {
  const start = performance.now()
  let memory = 0
  const timer = setInterval(() => {
    if (child.exitCode === null) memory = Math.max(memory, peak(child.pid))
  }, 100)
  const { code, stdout, stderr } = await ended
  clearInterval(timer)
  assert.equal(code, 0, stdout + stderr)
  return { memory, seconds: Math.round((performance.now() - start) / 1000) }
}

test("20 GiB in flat memory", { skip, timeout: 3_600_000 }, async (t) => {
  const shop = await openCountedShop(t)
  const { bavail, bsize } = statfsSync(shop.cli.folder)
  const count = Math.min(40, Math.floor((0.85 * bavail * bsize) / 3 / largeSize))
  makeSparse(shop.cli.path("model"), count)
  t.diagnostic(`${count} files of 512 MiB and ${smallCount} small ones: ${(count / 2).toFixed(1)} GiB`)
  const published = await peakOf(shop.start(["publish", "model", "--as", reference]))
  t.diagnostic(
    `publish: ${published.seconds} s, at most ${published.memory} MiB; the registry ${peak(shop.registryPid)} MiB`,
  )
  const pulled = await peakOf(shop.start(["pull", reference, "-o", "out"]))
  t.diagnostic(`pull: ${pulled.seconds} s, at most ${pulled.memory} MiB; the registry ${peak(shop.registryPid)} MiB`)
  assert.deepEqual(await hashFolder(shop.cli.path("out")), await hashFolder(shop.cli.path("model")))
  for (const memory of [published.memory, pulled.memory, peak(shop.registryPid)])
    assert.ok(memory > 0 && memory < 450, `${memory} MiB`)
})
