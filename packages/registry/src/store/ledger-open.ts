/**
 * Opens the file of the SQLite ledger: ours, of this version, undamaged, with every table and trigger.
 *
 * SQLite compiled for WAL defaults to synchronous=NORMAL, which loses acknowledged commits on a power cut; hence FULL, set
 * on every open together with the other pragmas below and read back by a test.
 */
import type Database from "better-sqlite3"

import { RegistryError } from "../errors.ts"
import { applicationId, schema, schemaVersion } from "./ledger-schema.ts"
import { isSqliteError, openDatabase } from "./sqlite.ts"

const pragmas = [
  "journal_mode = WAL",
  "synchronous = FULL",
  "foreign_keys = ON",
  "trusted_schema = OFF",
  "cell_size_check = ON",
  "busy_timeout = 5000",
  // In pages of 4 KiB. Entries come with random digests, so a commit writes many pages, and the next one the same again:
  // four times the default spares most of the copying back, and holds the event loop for some 20 ms each 5,000 entries.
  "wal_autocheckpoint = 4000",
  "cache_size = -32768",
] as const

/** Opens or creates. Throws USAGE when it is not a ledger of ours or of this version, STORE_FAILED when it is damaged. */
export function openLedger(path: string): Database.Database {
  const db = openDatabase(path, 5000)
  try {
    for (const pragma of pragmas) db.pragma(pragma)
    create(db, path)
    const [fault] = faultsOf(db)
    if (fault !== undefined) throw damaged(path, fault)
    return db
  } catch (error) {
    db.close()
    throw isSqliteError(error) ? damaged(path, "SQLite can't read it", error) : error
  }
}

/** What is wrong with the file as a database, before anybody asks what its rows say. */
export function faultsOf(db: Database.Database): readonly string[] {
  const faults: string[] = []
  const check = db.pragma("quick_check(1)", { simple: true })
  if (check !== "ok") faults.push(`SQLite finds it damaged: ${String(check)}`)
  if (schemaOf(db) !== ownSchema()) faults.push("its tables and triggers are not those it was made with")
  if ((db.pragma("foreign_key_check") as unknown[]).length > 0) faults.push("rows refer to rows that are not there")
  return faults
}

function create(db: Database.Database, path: string): void {
  const id = db.pragma("application_id", { simple: true })
  const version = db.pragma("user_version", { simple: true })
  if (id === applicationId && version === schemaVersion) return
  if (id === applicationId && version === 1) throw beforeTheLog(path)
  const { tables } = db.prepare("SELECT count(*) AS tables FROM sqlite_schema").get() as { tables: number }
  if (id !== 0 || version !== 0 || tables !== 0) {
    throw new RegistryError("USAGE", `${path} is not a ledger of this version of the registry`)
  }
  const make = db.transaction(() => {
    db.exec(schema)
    db.pragma(`application_id = ${applicationId}`)
    db.pragma(`user_version = ${schemaVersion}`)
  })
  make.immediate()
}

function beforeTheLog(path: string): RegistryError {
  const message = `${path} was made before the registry kept a log: what it holds is in no history that anyone can check`
  return new RegistryError("USAGE", message, {
    hint: "take an empty data folder and publish the same signed manifests again; nothing needs to be signed anew",
  })
}

/** Tables, indexes and triggers as SQLite keeps their texts: one trigger too few and history could be rewritten. */
function schemaOf(db: Database.Database): string {
  const objects = db
    .prepare(
      "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name",
    )
    .all() as { readonly type: string; readonly name: string; readonly sql: string }[]
  return objects.map(({ type, name, sql }) => `${type} ${name}: ${sql.replaceAll(/\s+/g, " ")}`).join("\n")
}

function ownSchema(): string {
  const db = openDatabase(":memory:")
  try {
    db.exec(schema)
    return schemaOf(db)
  } finally {
    db.close()
  }
}

function damaged(path: string, why: string, cause?: unknown): RegistryError {
  return new RegistryError("STORE_FAILED", `${path} is damaged or cannot be opened: ${why}`, {
    cause,
    hint: "`weighlock registry fsck` says what is wrong; restore it from a backup, or `weighlock registry rebuild` it",
  })
}
