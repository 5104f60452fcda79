/** What the machine can do at most, in the same run: the figures that ours are held against. */
import { hash, randomBytes } from "node:crypto"
import { closeSync, fdatasyncSync, openSync, unlinkSync, writeSync } from "node:fs"
import { availableParallelism, cpus, totalmem } from "node:os"
import { join } from "node:path"

export interface Machine {
  /** 4 KiB written and synced, one after the other, per second. */
  readonly syncs: number
  /** SHA-256 of 65 bytes (an inner node), one thread, per second. */
  readonly hashes: number
}

function perSecond(seconds: number, work: () => void): number {
  const start = performance.now()
  let count = 0
  while (performance.now() - start < seconds * 1000) {
    work()
    count += 1
  }
  return (count / (performance.now() - start)) * 1000
}

export function measureMachine(folder: string): Machine {
  const path = join(folder, "syncs")
  const file = openSync(path, "w")
  const page = randomBytes(4096)
  const node = randomBytes(65)
  try {
    return {
      syncs: perSecond(2, () => {
        writeSync(file, page)
        fdatasyncSync(file)
      }),
      hashes:
        perSecond(1, () => {
          for (let i = 0; i < 1000; i++) hash("sha256", node, "buffer")
        }) * 1000,
    }
  } finally {
    closeSync(file)
    unlinkSync(path)
  }
}

export function describeMachine(): string {
  const [first] = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${availableParallelism()} cores (${first?.model.trim() ?? "unknown"}), ${memory} GiB, Node ${process.version}`
}
