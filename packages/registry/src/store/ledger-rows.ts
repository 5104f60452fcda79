/**
 * The rows of a ledger as they are, for those who check them: nothing is assumed about what they say.
 *
 *     idx 7  hash 9c1f…  model acme/mnist  seq 2  leaf {"at":1795435200123,…}
 */
import type Database from "better-sqlite3"

import type { Cosignature, FullTile, LogHead } from "./ledger.ts"

export interface EntryRow {
  readonly idx: number
  readonly hash: Uint8Array
  readonly model: string | null
  readonly seq: number | null
  readonly leaf: Uint8Array
}

export interface ManifestRow {
  readonly idx: number
  readonly digest: string
  readonly model: string
  readonly version: string
  readonly created_at: string
}

export interface TrustRow {
  readonly version: number
  readonly digest: string
  readonly idx: number
}

export interface CheckpointRow {
  readonly size: number
  readonly note: string
}

export interface BlobFactsRow {
  readonly sha256: string
  readonly size: number
  readonly part_size: number | null
  readonly part_digests: Uint8Array | null
}

export type CountedTable =
  | "log_entries"
  | "log_tiles"
  | "log_checkpoints"
  | "manifests"
  | "trust_roots"
  | "payloads"
  | "manifest_blobs"

export class LedgerRows {
  readonly #db: Database.Database
  readonly #statements: ReturnType<typeof prepare>

  constructor(db: Database.Database) {
    this.#db = db
    this.#statements = prepare(db)
  }

  head(): LogHead | null {
    return (this.#statements.head.get() as LogHead | undefined) ?? null
  }

  count(table: CountedTable): number {
    return this.#db.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number
  }

  /** With `start` <= idx < `end`, in order. */
  entries(start: number, end: number): readonly EntryRow[] {
    return this.#statements.entries.all(start, end) as EntryRow[]
  }

  tile(level: number, n: number): Uint8Array | null {
    return (this.#statements.tile.get(level, n) as Uint8Array | undefined) ?? null
  }

  tilePlaces(): readonly Omit<FullTile, "hashes">[] {
    return this.#statements.tilePlaces.all() as Omit<FullTile, "hashes">[]
  }

  /** At most `limit` with size > `after`, in order. */
  checkpoints(after: number, limit: number): readonly CheckpointRow[] {
    return this.#statements.checkpoints.all(after, limit) as CheckpointRow[]
  }

  cosignatures(): readonly (Cosignature & { readonly size: number })[] {
    return this.#statements.cosignatures.all() as (Cosignature & { size: number })[]
  }

  manifest(idx: number): ManifestRow | null {
    return (this.#statements.manifest.get(idx) as ManifestRow | undefined) ?? null
  }

  /** What the indexes find, that answers are looked up through, where it is not this row. */
  strayed({ idx, digest, model, version }: ManifestRow, seq: number): readonly (number | null)[] {
    const { byDigest, byVersion, bySeq } = this.#statements
    const hits = [byDigest.get(digest), byVersion.get(model, version), bySeq.get(model, seq)] as (number | undefined)[]
    return hits.map((hit) => hit ?? null).filter((hit) => hit !== idx)
  }

  /** All that SQLite can find, also between tables and their indexes; at most so many. */
  integrityFaults(limit: number): readonly string[] {
    const faults = this.#db.prepare(`PRAGMA integrity_check(${limit})`).pluck().all() as string[]
    return faults.filter((fault) => fault !== "ok")
  }

  trustRoots(): readonly TrustRow[] {
    return this.#statements.trustRoots.all() as TrustRow[]
  }

  payload(sha256: string): Uint8Array | null {
    return (this.#statements.payload.get(sha256) as Uint8Array | undefined) ?? null
  }

  payloadNames(): readonly string[] {
    return this.#statements.payloadNames.all() as string[]
  }

  /** Whether some row about an entry has this payload's digest. */
  isPayloadNamed(sha256: string): boolean {
    return this.#statements.payloadNamed.get(sha256, sha256) !== undefined
  }

  /** Digests of the blobs that a manifest was bound with, sorted. */
  blobsOf(idx: number): readonly string[] {
    return this.#statements.blobsOf.all(idx) as string[]
  }

  blob(sha256: string): BlobFactsRow | null {
    return (this.#statements.blob.get(sha256) as BlobFactsRow | undefined) ?? null
  }

  /** Of blobs that some manifest needs, by digest: at most `limit` after `after`. */
  neededBlobs(after: string, limit: number): readonly BlobFactsRow[] {
    return this.#statements.neededBlobs.all(after, limit) as BlobFactsRow[]
  }
}

const blobColumns = "sha256, size, part_size, part_digests"

function prepare(db: Database.Database) {
  return {
    head: db.prepare("SELECT size, root, epoch FROM log_head"),
    entries: db.prepare("SELECT idx, hash, model, seq, leaf FROM log_entries WHERE idx >= ? AND idx < ? ORDER BY idx"),
    tile: db.prepare("SELECT hashes FROM log_tiles WHERE level = ? AND n = ?").pluck(),
    tilePlaces: db.prepare("SELECT level, n FROM log_tiles ORDER BY level, n"),
    checkpoints: db.prepare("SELECT size, note FROM log_checkpoints WHERE size > ? ORDER BY size LIMIT ?"),
    cosignatures: db.prepare("SELECT size, vkey, line FROM log_cosignatures ORDER BY size, vkey"),
    manifest: db.prepare("SELECT idx, digest, model, version, created_at FROM manifests WHERE idx = ?"),
    byDigest: db.prepare("SELECT idx FROM manifests WHERE digest = ?").pluck(),
    byVersion: db.prepare("SELECT idx FROM manifests WHERE model = ? AND version = ?").pluck(),
    bySeq: db.prepare("SELECT idx FROM log_entries WHERE model = ? AND seq = ?").pluck(),
    trustRoots: db.prepare("SELECT version, digest, idx FROM trust_roots ORDER BY version"),
    payload: db.prepare("SELECT bytes FROM payloads WHERE sha256 = ?").pluck(),
    payloadNames: db.prepare("SELECT sha256 FROM payloads ORDER BY sha256").pluck(),
    payloadNamed: db.prepare(
      "SELECT 1 FROM manifests WHERE digest = ? UNION ALL SELECT 1 FROM trust_roots WHERE digest = ? LIMIT 1",
    ),
    blobsOf: db.prepare("SELECT blob FROM manifest_blobs WHERE manifest = ? ORDER BY blob").pluck(),
    blob: db.prepare(`SELECT ${blobColumns} FROM blobs WHERE sha256 = ?`),
    neededBlobs: db.prepare(
      `SELECT ${blobColumns} FROM blobs WHERE sha256 > ? AND EXISTS (SELECT 1 FROM manifest_blobs WHERE blob = sha256) ORDER BY sha256 LIMIT ?`,
    ),
  }
}
