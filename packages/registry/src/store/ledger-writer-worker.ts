/**
 * The thread behind `LedgerWriter`. Between commits it copies the WAL back into the database, which SQLite would do within a
 * commit otherwise. A copy that fails ends the thread, and with it all writing.
 */
import { serveOrders } from "@weighlock/node/thread"
import { workerData } from "node:worker_threads"

import { RegistryError } from "../errors.ts"
import { openLedgerWriter } from "./ledger-open.ts"
import type { WriteOrder } from "./ledger-writer.ts"
import { LedgerWrites } from "./ledger-writes.ts"
import { unpackCommit } from "./packed-commit.ts"

/** Entries between two copies: some 8,000 pages. */
const between = 4000

const db = openLedgerWriter(workerData as string)
const writes = new LedgerWrites(db)
let uncopied = 0
/** After a fault of the disk nothing is written any more: what SQLite has in memory need not be what the disk has. */
let fault: { readonly error: unknown } | null = null

serveOrders((order: WriteOrder): unknown => {
  if (fault !== null && order.name !== "close") throw fault.error
  try {
    return perform(order)
  } catch (error) {
    if (!isRefusal(error)) fault = { error }
    throw error
  } finally {
    if (uncopied >= between) queueMicrotask(copyBack) // once the answer is on its way
  }
})

function isRefusal(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown }
  return error instanceof RegistryError || String(code).startsWith("SQLITE_CONSTRAINT")
}

function copyBack(): void {
  uncopied = 0
  db.pragma("wal_checkpoint(PASSIVE)")
}

function perform(order: WriteOrder): unknown {
  switch (order.name) {
    case "commit": {
      const commit = unpackCommit(order.args[0])
      uncopied += commit.entries.length
      return writes.commit(commit)
    }
    case "close":
      // SQLite does it when the last connection closes, and a backup may have one open: it looks into the database alone.
      if (fault === null) db.pragma("wal_checkpoint(TRUNCATE)")
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
