/** A thread that judges blocks of a log it reads itself. */
import { serveOrders } from "@weighlock/node/thread"
import type { Tile } from "@weighlock/tlog"
import { workerData } from "node:worker_threads"
import { judgeBlock, type JudgedBlock, publicKeysOf, type WorkerSetup } from "./block.ts"
import { openSource } from "./source.ts"

const { source, trust, hashOnly } = workerData as WorkerSetup
const { files } = openSource(source)
const keys = hashOnly ? null : publicKeysOf(trust)

serveOrders((tile: Tile): Promise<JudgedBlock> => judgeBlock(files, tile, keys))
