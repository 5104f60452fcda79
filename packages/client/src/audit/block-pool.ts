/** Judges the blocks of a log in threads, a few ahead of whoever takes them in order: memory stays flat. */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import type { Tile } from "@weighlock/tlog"
import { ClientError, clientErrorCodes, type ClientErrorCode, unavailable } from "../errors.ts"
import type { LogFiles } from "../log-reader.ts"
import { type BlockReply, judgeBlock, type JudgedBlock, publicKeysOf, type WorkerSetup } from "./block.ts"

const width = 256
/** Blocks under way per thread: one to work on, one to read meanwhile. */
const ahead = 2
/** So many are judged before threads have started. */
const fewBlocks = 8

class Lane {
  readonly #worker: Worker
  readonly #waiting = new Map<number, { resolve: (block: JudgedBlock) => void; reject: (error: Error) => void }>()

  constructor(setup: WorkerSetup) {
    // tsc does not rewrite this name: the sources run as .ts, the package as .js.
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"
    this.#worker = new Worker(new URL(`./block-worker.${extension}`, import.meta.url), {
      workerData: setup,
      resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 },
    })
    this.#worker.on("message", (reply: BlockReply) => this.#settle(reply))
    this.#worker.on("error", (error) => this.#fail(error))
    this.#worker.on("exit", () => this.#fail(new Error("the thread has ended")))
  }

  get busy(): number {
    return this.#waiting.size
  }

  judge(tile: Tile): Promise<JudgedBlock> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(tile.index, { resolve, reject })
      this.#worker.postMessage(tile)
    })
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #settle(reply: BlockReply): void {
    const index = "block" in reply ? reply.block.index : reply.index
    const waiting = this.#waiting.get(index)
    this.#waiting.delete(index)
    if ("block" in reply) waiting?.resolve(reply.block)
    else waiting?.reject(revive(reply.code, reply.message))
  }

  #fail(cause: Error): void {
    for (const { reject } of this.#waiting.values()) reject(unavailable("an audit thread failed", { cause }))
    this.#waiting.clear()
  }
}

function revive(code: string, message: string): Error {
  const known = clientErrorCodes.find((one) => one === code)
  return known === undefined
    ? new Error(`${code}: ${message}`)
    : new ClientError(known satisfies ClientErrorCode, message)
}

/**
 * The judged blocks of a log of `size` entries, in order. What can't be read for want of a network is thrown: UNAVAILABLE.
 */
export async function* judgeBlocks(size: number, setup: WorkerSetup, files: LogFiles): AsyncGenerator<JudgedBlock> {
  const count = Math.ceil(size / width)
  const lanes = count <= fewBlocks ? null : openLanes(setup)
  const keys = setup.hashOnly ? null : publicKeysOf(setup.trust)
  const judge = (tile: Tile): Promise<JudgedBlock> =>
    lanes === null
      ? judgeBlock(files, tile, keys)
      : lanes.reduce((least, one) => (one.busy < least.busy ? one : least)).judge(tile)
  const most = lanes === null ? 1 : ahead * lanes.length
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
    await Promise.all((lanes ?? []).map((lane) => lane.close()))
  }
}

function openLanes(setup: WorkerSetup): Lane[] {
  return Array.from({ length: Math.max(1, Math.min(8, availableParallelism())) }, () => new Lane(setup))
}
