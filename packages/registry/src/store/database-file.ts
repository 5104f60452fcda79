/**
 * Opens a SQLite file of ours: of this kind and version, undamaged, with exactly its own tables and triggers.
 *
 * SQLite compiled for WAL defaults to synchronous=NORMAL, which loses acknowledged commits on a power cut; hence FULL, set
 * on every open together with the other pragmas below and read back by a test.
 */
import type Database from "better-sqlite3"

import { RegistryError } from "../errors.ts"
import { isSqliteError, openDatabase } from "./sqlite.ts"

export interface FileKind {
  /** What such a file is called in a sentence: "the state of a witness". */
  readonly name: string
  /** A file of another program, or of another kind, is refused, not migrated. */
  readonly applicationId: number
  readonly version: number
  readonly schema: string
  /** The version before, and what makes it this one. */
  readonly before?: { readonly schema: string; readonly upgrade: string }
  /** Beyond those that every file gets. */
  readonly pragmas?: readonly string[]
  /** What to say of an older version, if there is more to say than that it is one. */
  readonly older?: (path: string, version: number) => RegistryError
  /** What to do about a damaged one. */
  readonly hint: string
}

const pragmas = [
  "journal_mode = WAL",
  "synchronous = FULL",
  "foreign_keys = ON",
  "trusted_schema = OFF",
  "cell_size_check = ON",
  "busy_timeout = 5000",
] as const

/** Opens or creates. Throws USAGE when it is another kind of file or version, STORE_FAILED when it is damaged. */
export function openFile(path: string, kind: FileKind): Database.Database {
  const db = openDatabase(path, 5000)
  try {
    setPragmas(db, kind)
    create(db, path, kind)
    const [fault] = fileFaults(db, kind)
    if (fault !== undefined) throw damaged(path, kind, fault)
    return db
  } catch (error) {
    db.close()
    throw isSqliteError(error) ? damaged(path, kind, "SQLite can't read it", error) : error
  }
}

/** Opens once more what `openFile` opened and found undamaged. */
export function openAgain(path: string, kind: FileKind): Database.Database {
  const db = openDatabase(path, 5000)
  setPragmas(db, kind)
  return db
}

function setPragmas(db: Database.Database, kind: FileKind): void {
  for (const pragma of [...pragmas, ...(kind.pragmas ?? [])]) db.pragma(pragma)
}

/** What is wrong with the file as a database, before anybody asks what its rows say. */
export function fileFaults(db: Database.Database, { schema, version, before }: FileKind): readonly string[] {
  const faults: string[] = []
  const check = db.pragma("quick_check(1)", { simple: true })
  if (check !== "ok") faults.push(`SQLite finds it damaged: ${String(check)}`)
  const isOlder = before !== undefined && db.pragma("user_version", { simple: true }) === version - 1
  if (schemaOf(db) !== freshSchema(isOlder ? before.schema : schema))
    faults.push("its tables and triggers are not those it was made with")
  if ((db.pragma("foreign_key_check") as unknown[]).length > 0) faults.push("rows refer to rows that are not there")
  return faults
}

function create(db: Database.Database, path: string, kind: FileKind): void {
  const { name, applicationId, version, schema, before, older } = kind
  const id = db.pragma("application_id", { simple: true })
  const found = Number(db.pragma("user_version", { simple: true }))
  if (id === applicationId && found === version) return
  if (id === applicationId && found === version - 1 && before) {
    const [fault] = fileFaults(db, kind)
    if (fault !== undefined) throw damaged(path, kind, fault)
    return execAs(db, kind, before.upgrade)
  }
  if (id === applicationId && found < version && older) throw older(path, found)
  const { tables } = db.prepare("SELECT count(*) AS tables FROM sqlite_schema").get() as { tables: number }
  if (id !== 0 || found !== 0 || tables !== 0) {
    throw new RegistryError("USAGE", `${path} is not ${name}`)
  }
  execAs(db, kind, schema)
}

/** All of it or nothing. */
function execAs(db: Database.Database, { applicationId, version }: FileKind, sql: string): void {
  const make = db.transaction(() => {
    db.exec(sql)
    db.pragma(`application_id = ${applicationId}`)
    db.pragma(`user_version = ${version}`)
  })
  make.immediate()
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

function freshSchema(schema: string): string {
  const db = openDatabase(":memory:")
  try {
    db.exec(schema)
    return schemaOf(db)
  } finally {
    db.close()
  }
}

function damaged(path: string, { hint }: FileKind, why: string, cause?: unknown): RegistryError {
  return new RegistryError("STORE_FAILED", `${path} is damaged or cannot be opened: ${why}`, { cause, hint })
}
