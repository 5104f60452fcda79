/** Judges the blocks of a log in threads, a few ahead of whoever takes them in order: memory stays flat. */
import { availableParallelism } from "node:os"
import { ManifestError, type ManifestErrorCode } from "@weighlock/manifest"
import { leastBusy, type Thrown, workerFile, WorkerThread } from "@weighlock/node"
import type { Tile } from "@weighlock/tlog"
import { ClientError, type ClientErrorCode, unavailable } from "../errors.ts"
import type { LogFiles } from "../log-reader.ts"
import { judgeBlock, type JudgedBlock, publicKeysOf, type WorkerSetup } from "./block.ts"

const width = 256
/** Blocks under way per thread: one to work on, one to read meanwhile. */
const ahead = 2
/** So many are judged before threads have started. */
const fewBlocks = 8

type Judge = (tile: Tile) => Promise<JudgedBlock>

/**
 * The judged blocks of a log of `size` entries, in order. What can't be read for want of a network is thrown: UNAVAILABLE.
 */
export async function* judgeBlocks(size: number, setup: WorkerSetup, files: LogFiles): AsyncGenerator<JudgedBlock> {
  const count = Math.ceil(size / width)
  const threads = count <= fewBlocks ? [] : startThreads(setup)
  const judge = threads.length === 0 ? judgeHere(setup, files) : judgeIn(threads)
  const most = Math.max(1, ahead * threads.length)
  const queue: Promise<JudgedBlock>[] = []
  try {
    for (let index = 0; index < count || queue.length > 0;) {
      while (index < count && queue.length < most) {
        const judged = judge({ level: "entries", index, width: Math.min(width, size - index * width) })
        judged.catch(() => undefined) // whoever takes it is told
        queue.push(judged)
        index++
      }
      const first = queue.shift()
      if (first !== undefined) yield await first
    }
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()))
  }
}

function judgeHere({ hashOnly, trust }: WorkerSetup, files: LogFiles): Judge {
  const keys = hashOnly ? null : publicKeysOf(trust)
  return (tile) => judgeBlock(files, tile, keys)
}

function judgeIn(threads: readonly WorkerThread<Tile, JudgedBlock>[]): Judge {
  return async (tile) => {
    const thread = leastBusy(threads)
    return await thread.ask(tile).catch((cause: unknown) => {
      throw cause === thread.ended ? unavailable("an audit thread failed", { cause }) : cause
    })
  }
}

function startThreads(setup: WorkerSetup): WorkerThread<Tile, JudgedBlock>[] {
  const file = workerFile("./block-worker", import.meta.url)
  const options = {
    name: "audit",
    workerData: setup,
    resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 },
    revive,
  }
  return Array.from(
    { length: Math.max(1, Math.min(8, availableParallelism())) },
    () => new WorkerThread<Tile, JudgedBlock>(file, options),
  )
}

function revive(thrown: Thrown): Error {
  const { name, code, message, hint, cause } = thrown
  const options = hint === undefined ? { cause } : { cause, hint }
  if (name === "ClientError") return new ClientError(code as ClientErrorCode, message, options)
  return name === "ManifestError" ? new ManifestError(code as ManifestErrorCode, message, options) : thrown
}
