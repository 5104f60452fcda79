/** A thread that judges blocks of a log it reads itself. */
import { parentPort, workerData } from "node:worker_threads"
import type { Tile } from "@weighlock/tlog"
import { type BlockReply, judgeBlock, publicKeysOf, type WorkerSetup } from "./block.ts"
import { openSource } from "./source.ts"

const { source, trust, hashOnly } = workerData as WorkerSetup
const { files } = openSource(source)
const keys = hashOnly ? null : publicKeysOf(trust)

parentPort?.on("message", (tile: Tile) => {
  void judgeBlock(files, tile, keys).then(
    (block) => parentPort?.postMessage({ block } satisfies BlockReply),
    (error: Error & { code?: unknown }) =>
      parentPort?.postMessage({
        index: tile.index,
        code: typeof error.code === "string" ? error.code : "INTERNAL",
        message: error.message,
      } satisfies BlockReply),
  )
})
