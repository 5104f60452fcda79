/**
 * The thread behind `LedgerWriter`. Between commits it copies the WAL back into the database, which SQLite would do within a
 * commit otherwise. A copy that fails ends the thread, and with it all writing.
 */
import { parentPort, workerData } from "node:worker_threads"

import { RegistryError } from "../errors.ts"
import { openLedgerWriter } from "./ledger-open.ts"
import type { Refused, WriteOrder, WriteReply } from "./ledger-writer.ts"
import { LedgerWrites } from "./ledger-writes.ts"
import { unpackCommit } from "./packed-commit.ts"

/** Entries between two copies: some 8,000 pages. */
const between = 4000

const db = openLedgerWriter(workerData as string)
const writes = new LedgerWrites(db)
let uncopied = 0
let fault: Refused | null = null

parentPort?.on("message", (order: WriteOrder) => {
  parentPort?.postMessage(reply(order))
  if (order.name === "close") return parentPort?.close()
  if (uncopied < between) return
  uncopied = 0
  db.pragma("wal_checkpoint(PASSIVE)")
})

/** After a fault of the disk nothing is written any more: what SQLite has in memory need not be what the disk has. */
function reply(order: WriteOrder): WriteReply {
  if (fault && order.name !== "close") return { refused: fault }
  try {
    return { result: perform(order) }
  } catch (error) {
    const refused = refusedOf(error)
    if (!refused.isOurs && !refused.code.startsWith("SQLITE_CONSTRAINT")) fault = refused
    return { refused }
  }
}

function perform(order: WriteOrder): unknown {
  switch (order.name) {
    case "commit": {
      const commit = unpackCommit(order.args[0])
      uncopied += commit.entries.length
      return writes.commit(commit)
    }
    case "close":
      return void db.close()
    case "fence":
      return writes.fence()
    case "recordBlobs":
      return writes.recordBlobs(...order.args)
    case "forgetBlobs":
      return writes.forgetBlobs(...order.args)
    case "noteUnrecorded":
      return writes.noteUnrecorded(...order.args)
    case "dropNotes":
      return writes.dropNotes(...order.args)
    case "addCosignatures":
      return writes.addCosignatures(...order.args)
    case "forgetCosignatures":
      return writes.forgetCosignatures(...order.args)
    case "pragma":
      return writes.pragma(...order.args)
  }
}

function refusedOf(error: unknown): Refused {
  if (!(error instanceof Error)) throw error
  const code = "code" in error ? String(error.code) : ""
  return { isOurs: error instanceof RegistryError, code, message: error.message }
}
