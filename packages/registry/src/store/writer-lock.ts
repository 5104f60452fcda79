/**
 * One writer per data folder: a second registry on the same folder is refused, and a killed one leaves nothing to clean up.
 *
 * The lock is SQLite's own file lock (fcntl on POSIX, LockFileEx on Windows) on an empty database beside the ledger: the
 * kernel drops it with the process, which a pid file cannot promise.
 */
import { RegistryError } from "../errors.ts"
import { openDatabase } from "./sqlite.ts"

export interface WriterLock {
  release(): void
}

/** Throws CONFLICT while another holder lives, also one in this process. */
export function lockWriter(path: string): WriterLock {
  const db = openDatabase(path)
  try {
    db.exec("BEGIN EXCLUSIVE")
  } catch (error) {
    db.close()
    throw new RegistryError("CONFLICT", "another process is running on this data folder", {
      hint: "one process writes a data folder: stop the other one, or give this one a folder of its own",
      cause: error,
    })
  }
  return { release: () => void db.close() }
}
