/**
 * One writer per data folder, and per copy of the checkpoint: a second registry on the same one is refused, and a killed one leaves nothing to clean up.
 *
 * The lock is SQLite's own file lock (fcntl on POSIX, LockFileEx on Windows) on an empty database beside the ledger: the
 * kernel drops it with the process, which a pid file cannot promise.
 */
import { RegistryError } from "../errors.ts"
import { isSqliteError, openDatabase } from "./sqlite.ts"

export interface WriterLock {
  release(): void
}

/** Throws CONFLICT while another holder lives, also one in this process; STORE_FAILED where no lock can be. */
export function lockWriter(path: string, what = "data folder"): WriterLock {
  const db = openLock(path)
  try {
    db.exec("BEGIN EXCLUSIVE")
  } catch (cause) {
    db.close()
    if (!(cause instanceof Error && "code" in cause && cause.code === "SQLITE_BUSY")) throw unlockable(path, cause)
    throw new RegistryError("CONFLICT", `another process is running on this ${what}`, {
      hint: `one process writes a ${what}: stop the other one, or give this one a ${what} of its own`,
      cause,
    })
  }
  return { release: () => void db.close() }
}

function openLock(path: string): ReturnType<typeof openDatabase> {
  try {
    return openDatabase(path)
  } catch (cause) {
    throw isSqliteError(cause) ? unlockable(path, cause) : cause
  }
}

function unlockable(path: string, cause: unknown): RegistryError {
  return new RegistryError("STORE_FAILED", `the lock ${path} can't be taken`, { cause })
}
