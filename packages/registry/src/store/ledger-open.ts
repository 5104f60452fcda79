/** The file of the SQLite ledger: what kind of file it is, and how it is opened. */
import type Database from "better-sqlite3"

import { RegistryError } from "../errors.ts"
import { type FileKind, fileFaults, openAgain, openFile } from "./database-file.ts"
import { applicationId, before, schema, schemaVersion } from "./ledger-schema.ts"

const ledgerFile: FileKind = {
  name: "a ledger of this version of the registry",
  applicationId,
  version: schemaVersion,
  schema,
  before,
  pragmas: [
    // In pages of 4 KiB: as far as a WAL grows before a commit itself copies it back. Long before, the writer has done so
    // between two commits (ledger-writer-worker.ts).
    "wal_autocheckpoint = 16000",
    "cache_size = -32768",
  ],
  older: beforeTheLog,
  hint: "`weighlock registry fsck` says what is wrong; restore it from a backup, or `weighlock registry rebuild` it",
}

/** Opens or creates. Throws USAGE when it is not a ledger of ours or of this version, STORE_FAILED when it is damaged. */
export function openLedger(path: string): Database.Database {
  return openFile(path, ledgerFile)
}

/** The connection that writes, of a ledger that is open. */
export function openLedgerWriter(path: string): Database.Database {
  return openAgain(path, ledgerFile)
}

/** What is wrong with the file as a database, before anybody asks what its rows say. */
export function faultsOf(db: Database.Database): readonly string[] {
  return fileFaults(db, ledgerFile)
}

function beforeTheLog(path: string): RegistryError {
  const message = `${path} was made before the registry kept a log: what it holds is in no history that anyone can check`
  return new RegistryError("USAGE", message, {
    hint: "take an empty data folder and publish the same signed manifests again; nothing needs to be signed anew",
  })
}
