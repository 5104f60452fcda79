/** The thread behind `WalCopier`: copies what is new in the WAL into the database, without holding up who writes to it. */
import { parentPort, workerData } from "node:worker_threads"

import { openDatabase } from "./sqlite.ts"

const db = openDatabase(workerData as string, 5000)
db.pragma("synchronous = FULL")

parentPort?.on("message", (order: "copy" | "close") => {
  if (order === "copy") db.pragma("wal_checkpoint(PASSIVE)")
  else db.close()
  parentPort?.postMessage(order)
  if (order === "close") parentPort?.close()
})
