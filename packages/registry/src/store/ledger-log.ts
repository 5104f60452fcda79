/** The log's tables: entries at the end, full tiles, one head that only grows, one signed note a size. */
import type Database from "better-sqlite3"

import { RegistryError } from "../errors.ts"
import type { Cosignature, LogCommit, LogEntry, LogHead, NewEntry } from "./ledger.ts"

export const entryColumns = `e.idx AS "index", e.hash, e.leaf`

export class LogTables {
  readonly #statements: ReturnType<typeof prepare>
  readonly #append: Database.Transaction<(commit: LogCommit) => void>
  readonly #fence: Database.Transaction<() => LogHead>
  readonly #cosign: Database.Transaction<(size: number, cosignatures: readonly Cosignature[]) => void>

  constructor(db: Database.Database, emptyRoot: Uint8Array) {
    const statements = prepare(db)
    this.#statements = statements
    this.#append = db.transaction((commit: LogCommit) => this.#write(commit))
    this.#fence = db.transaction(() => {
      statements.makeHead.run(emptyRoot)
      statements.raiseEpoch.run()
      return statements.head.get() as LogHead
    })
    this.#cosign = db.transaction((size: number, cosignatures: readonly Cosignature[]) => {
      for (const { vkey, line } of cosignatures) statements.addCosignature.run(size, vkey, line)
    })
  }

  head(): LogHead | null {
    return (this.#statements.head.get() as LogHead | undefined) ?? null
  }

  fence(): LogHead {
    return this.#fence.immediate()
  }

  commit(commit: LogCommit): void {
    this.#append.immediate(commit)
  }

  #write({ from, to, entries, tiles, note }: LogCommit): void {
    const moved = this.#statements.moveHead.run(to.size, to.root, from.size, from.root, from.epoch)
    if (moved.changes !== 1) throw fenced(from)
    for (const entry of entries) this.#writeEntry(entry)
    for (const { level, n, hashes } of tiles) this.#statements.addTile.run(level, n, hashes)
    if (note !== null) this.#statements.addCheckpoint.run(to.size, note)
  }

  #writeEntry({ index, hash, leaf, place, payload, manifest, trustRoot }: NewEntry): void {
    const { addEntry, addPayload, addManifest, addManifestBlob, addTrustRoot } = this.#statements
    addEntry.run(index, hash, place?.model ?? null, place?.seq ?? null, leaf)
    if (payload) addPayload.run(payload.sha256, payload.bytes)
    if (trustRoot) addTrustRoot.run(trustRoot.version, trustRoot.digest, index)
    if (!manifest) return
    addManifest.run(index, manifest.digest, manifest.model, manifest.version, manifest.createdAt)
    for (const blob of new Set(manifest.blobs)) addManifestBlob.run(index, blob)
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

  addCosignatures(size: number, cosignatures: readonly Cosignature[]): void {
    this.#cosign.immediate(size, cosignatures)
  }

  cosignatures(size: number): readonly Cosignature[] {
    return this.#statements.cosignatures.all(size) as Cosignature[]
  }

  cosignedSizes(limit: number): readonly number[] {
    return this.#statements.cosignedSizes.all(limit) as number[]
  }
}

function fenced({ size, epoch }: LogHead): RegistryError {
  const message = `the log is not at ${size} entries of epoch ${epoch} any more: another process has taken it over`
  return new RegistryError("CONFLICT", message)
}

function missing(what: string): RegistryError {
  return new RegistryError("STORE_FAILED", `${what} are not all in the ledger`, {
    hint: "stop the registry; `weighlock registry fsck` says what is wrong",
  })
}

function prepare(db: Database.Database) {
  return {
    head: db.prepare("SELECT size, root, epoch FROM log_head"),
    makeHead: db.prepare(
      "INSERT INTO log_head (id, size, root, epoch) SELECT 1, 0, ?, 0 WHERE NOT EXISTS (SELECT 1 FROM log_head)",
    ),
    raiseEpoch: db.prepare("UPDATE log_head SET epoch = epoch + 1"),
    moveHead: db.prepare("UPDATE log_head SET size = ?, root = ? WHERE size = ? AND root = ? AND epoch = ?"),
    addEntry: db.prepare("INSERT INTO log_entries (idx, hash, model, seq, leaf) VALUES (?, ?, ?, ?, ?)"),
    addPayload: db.prepare("INSERT INTO payloads (sha256, bytes) VALUES (?, ?)"),
    addManifest: db.prepare("INSERT INTO manifests (idx, digest, model, version, created_at) VALUES (?, ?, ?, ?, ?)"),
    addManifestBlob: db.prepare("INSERT INTO manifest_blobs (manifest, blob) VALUES (?, ?)"),
    addTrustRoot: db.prepare("INSERT INTO trust_roots (version, digest, idx) VALUES (?, ?, ?)"),
    addTile: db.prepare("INSERT INTO log_tiles (level, n, hashes) VALUES (?, ?, ?)"),
    addCheckpoint: db.prepare("INSERT INTO log_checkpoints (size, note) VALUES (?, ?)"),
    addCosignature: db.prepare(
      "INSERT INTO log_cosignatures (size, vkey, line) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET line = excluded.line",
    ),
    entries: db.prepare(`SELECT ${entryColumns} FROM log_entries e WHERE e.idx >= ? AND e.idx < ? ORDER BY e.idx`),
    tile: db.prepare("SELECT hashes FROM log_tiles WHERE level = ? AND n = ?").pluck(),
    checkpoint: db.prepare("SELECT note FROM log_checkpoints WHERE size = ?").pluck(),
    payload: db.prepare("SELECT bytes FROM payloads WHERE sha256 = ?").pluck(),
    history: db.prepare(
      `SELECT ${entryColumns} FROM log_entries e WHERE e.model = ? AND e.seq > ? ORDER BY e.seq LIMIT ?`,
    ),
    cosignatures: db.prepare("SELECT vkey, line FROM log_cosignatures WHERE size = ? ORDER BY vkey"),
    cosignedSizes: db.prepare("SELECT DISTINCT size FROM log_cosignatures ORDER BY size DESC LIMIT ?").pluck(),
  }
}
