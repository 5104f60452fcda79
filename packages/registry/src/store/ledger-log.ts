/** Reads the log's tables: entries, full tiles, one head, one signed note a size. */
import type Database from "better-sqlite3"

import { RegistryError } from "../errors.ts"
import type { Cosignature, LogEntry, LogHead } from "./ledger.ts"

export const entryColumns = `e.idx AS "index", e.hash, e.leaf`

export class LogTables {
  readonly #statements: ReturnType<typeof prepare>

  constructor(db: Database.Database) {
    this.#statements = prepare(db)
  }

  head(): LogHead | null {
    return (this.#statements.head.get() as LogHead | undefined) ?? null
  }

  entries(start: number, end: number): readonly LogEntry[] {
    const found = this.#statements.entries.all(start, end) as LogEntry[]
    if (found.length !== Math.max(0, end - start)) throw missing(`entries ${start} to ${end}`)
    return found
  }

  tile(level: number, n: number): Uint8Array | null {
    return (this.#statements.tile.get(level, n) as Uint8Array | undefined) ?? null
  }

  checkpoint(size: number): string | null {
    return (this.#statements.checkpoint.get(size) as string | undefined) ?? null
  }

  payload(sha256: string): Uint8Array | null {
    return (this.#statements.payload.get(sha256) as Uint8Array | undefined) ?? null
  }

  history(model: string, after: number, limit: number): readonly LogEntry[] {
    return this.#statements.history.all(model, after, limit) as LogEntry[]
  }

  firstCheckpoint(): number | null {
    return (this.#statements.firstCheckpoint.get() as number | null | undefined) ?? null
  }

  cosignatures(size: number): readonly Cosignature[] {
    return this.#statements.cosignatures.all(size) as Cosignature[]
  }

  cosignedSizes(limit: number): readonly number[] {
    return this.#statements.cosignedSizes.all(limit) as number[]
  }
}

function missing(what: string): RegistryError {
  return new RegistryError("STORE_FAILED", `${what} are not all in the ledger`, {
    hint: "stop the registry; `weighlock registry fsck` says what is wrong",
  })
}

function prepare(db: Database.Database) {
  return {
    head: db.prepare("SELECT size, root, epoch FROM log_head"),
    entries: db.prepare(`SELECT ${entryColumns} FROM log_entries e WHERE e.idx >= ? AND e.idx < ? ORDER BY e.idx`),
    tile: db.prepare("SELECT hashes FROM log_tiles WHERE level = ? AND n = ?").pluck(),
    checkpoint: db.prepare("SELECT note FROM log_checkpoints WHERE size = ?").pluck(),
    payload: db.prepare("SELECT bytes FROM payloads WHERE sha256 = ?").pluck(),
    history: db.prepare(
      `SELECT ${entryColumns} FROM log_entries e WHERE e.model = ? AND e.seq > ? ORDER BY e.seq LIMIT ?`,
    ),
    cosignatures: db.prepare("SELECT vkey, line FROM log_cosignatures WHERE size = ? ORDER BY vkey"),
    firstCheckpoint: db.prepare("SELECT MIN(size) FROM log_checkpoints").pluck(),
    cosignedSizes: db.prepare("SELECT DISTINCT size FROM log_cosignatures ORDER BY size DESC LIMIT ?").pluck(),
  }
}
