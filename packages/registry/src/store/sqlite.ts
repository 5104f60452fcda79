/**
 * Opens SQLite databases. The native module is loaded on first use and only by a Node that can: it needs Node-API 10, and
 * an older Node (22.13 among them) would not refuse it but crash without a word.
 */
import { createRequire } from "node:module"

import type Database from "better-sqlite3"

import { RegistryError } from "../errors.ts"

const neededNodeApi = 10

/** `wait`: ms to wait for a lock of another process. Throws USAGE on a Node that is too old. */
export function openDatabase(path: string, wait = 0): Database.Database {
  return open(path, { timeout: wait })
}

/** Nothing is written to the database; its WAL is read as well. Throws as `openDatabase`. */
export function openForReading(path: string): Database.Database {
  return open(path, { readonly: true, fileMustExist: true, timeout: 5000 })
}

function open(path: string, options: Database.Options): Database.Database {
  if (Number(process.versions["napi"]) < neededNodeApi) {
    throw new RegistryError("USAGE", `Node ${process.versions.node} can't run a registry`, {
      hint: "run it with Node 22.14 or newer; the other commands work with this one",
    })
  }
  const SqliteDatabase = createRequire(import.meta.url)("better-sqlite3") as typeof Database
  return new SqliteDatabase(path, options)
}

/** An error that SQLite itself reported. */
export function isSqliteError(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_")
}
