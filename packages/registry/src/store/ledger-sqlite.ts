/**
 * The ledger in one SQLite file, one writer process. Reads are synchronous inside, on a connection that cannot write; every
 * write goes through one thread (ledger-writer.ts), and is seen by reads once its promise resolves.
 */
import type Database from "better-sqlite3"

import { type BlobRow, factsOf, prepareBlob } from "./ledger-blobs.ts"
import { LogTables, entryColumns } from "./ledger-log.ts"
import { openLedger } from "./ledger-open.ts"
import { LedgerRows } from "./ledger-rows.ts"
import { LedgerWriter } from "./ledger-writer.ts"
import type {
  BlobFacts,
  Cosignature,
  Facts,
  Ledger,
  LogCommit,
  LogEntry,
  LogHead,
  ModelSummary,
  Page,
  Publication,
  TrustRecord,
  VersionSummary,
  Wanted,
} from "./ledger.ts"

type PublicationRow = Omit<Publication, "entry"> & LogEntry
type TrustRow = Omit<TrustRecord, "entry"> & LogEntry

const maxNewest = 50_000

export class SqliteLedger implements Ledger {
  readonly #db: Database.Database
  readonly #log: LogTables
  readonly #statements: ReturnType<typeof prepare>
  readonly #facts: Database.Transaction<(batch: readonly Wanted[]) => readonly Facts[]>
  readonly #writer: LedgerWriter
  /** The newest entries of models that were asked about: this process alone moves them. */
  readonly #newest = new Map<string, Facts["newest"]>()

  /** Opens or creates the file. Throws USAGE when it is not a ledger of ours, STORE_FAILED when it is damaged. */
  constructor(path: string) {
    this.#db = openLedger(path)
    this.#db.pragma("query_only = ON")
    this.#log = new LogTables(this.#db)
    this.#statements = prepare(this.#db)
    this.#facts = this.#db.transaction((batch: readonly Wanted[]) => batch.map((wanted) => this.#factsOf(wanted)))
    this.#writer = new LedgerWriter(path)
  }

  /** The value of a pragma on the connection that writes: what a test asserts after re-opening. */
  pragma(name: string): Promise<unknown> {
    return this.#writer.pragma(name)
  }

  /** The rows as they are, for the proof at start. */
  rows(): LedgerRows {
    return new LedgerRows(this.#db)
  }

  async head(): Promise<LogHead | null> {
    return this.#log.head()
  }

  async fence(): Promise<LogHead> {
    return await this.#writer.fence()
  }

  async commit(commit: LogCommit): Promise<void> {
    await this.#writer.commit(commit)
    for (const { place, hash } of commit.entries) if (place) this.#newest.set(place.model, { seq: place.seq, hash })
  }

  async entries(start: number, end: number): Promise<readonly LogEntry[]> {
    return this.#log.entries(start, end)
  }

  async tile(level: number, n: number): Promise<Uint8Array | null> {
    return this.#log.tile(level, n)
  }

  async checkpoint(size: number): Promise<string | null> {
    return this.#log.checkpoint(size)
  }

  async payload(sha256: string): Promise<Uint8Array | null> {
    return this.#log.payload(sha256)
  }

  async history(model: string, after: number, limit: number): Promise<readonly LogEntry[]> {
    return this.#log.history(model, after, limit)
  }

  async addCosignatures(size: number, cosignatures: readonly Cosignature[]): Promise<void> {
    await this.#writer.addCosignatures(size, cosignatures)
  }

  async forgetCosignatures(witnessed: number): Promise<void> {
    await this.#writer.forgetCosignatures(witnessed)
  }

  async firstCheckpoint(): Promise<number | null> {
    return this.#log.firstCheckpoint()
  }

  async cosignatures(size: number): Promise<readonly Cosignature[]> {
    return this.#log.cosignatures(size)
  }

  async cosignedSizes(limit: number): Promise<readonly number[]> {
    return this.#log.cosignedSizes(limit)
  }

  async facts(batch: readonly Wanted[]): Promise<readonly Facts[]> {
    return this.#facts.deferred(batch)
  }

  #factsOf({ model, version, blobs }: Wanted): Facts {
    const { holder, hasBlob } = this.#statements
    return {
      holder: (holder.get(model, version) as Facts["holder"] | undefined) ?? null,
      missing: blobs.filter((sha256) => hasBlob.get(sha256) === undefined),
      newest: this.#newestOf(model),
    }
  }

  #newestOf(model: string): Facts["newest"] {
    const known = this.#newest.get(model)
    if (known !== undefined) return known
    const found = (this.#statements.newest.get(model) as Facts["newest"] | undefined) ?? null
    if (this.#newest.size >= maxNewest) this.#newest.clear()
    this.#newest.set(model, found)
    return found
  }

  async recordBlobs(batch: readonly BlobFacts[]): Promise<readonly BlobFacts[]> {
    return await this.#writer.recordBlobs(batch)
  }

  async forgetBlobs(before: number): Promise<readonly string[]> {
    return await this.#writer.forgetBlobs(before)
  }

  async noteUnrecorded(digests: readonly string[]): Promise<void> {
    await this.#writer.noteUnrecorded(digests)
  }

  async dropNotes(digests: readonly string[], before: number): Promise<void> {
    await this.#writer.dropNotes(digests, before)
  }

  async trustRoots(): Promise<readonly TrustRecord[]> {
    const rows = this.#statements.trustRoots.all() as TrustRow[]
    return rows.map(({ version, digest, index, hash, leaf }) => ({ version, digest, entry: { index, hash, leaf } }))
  }

  async byVersion(model: string, version: string): Promise<Publication | null> {
    return publicationOf(this.#statements.byVersion.get(model, version) as PublicationRow | undefined)
  }

  async byDigest(digest: string): Promise<Publication | null> {
    return publicationOf(this.#statements.byDigest.get(digest) as PublicationRow | undefined)
  }

  async blobs(digests: readonly string[]): Promise<ReadonlyMap<string, BlobFacts>> {
    const rows = digests.map((sha256) => this.#statements.blob.get(sha256) as BlobRow | undefined)
    return new Map(rows.filter((row) => row !== undefined).map((row) => [row.sha256, factsOf(row)]))
  }

  async models(query: string, { after = "", limit }: Page): Promise<readonly ModelSummary[]> {
    return this.#statements.models.all(after, query, limit) as ModelSummary[]
  }

  async versions(model: string, { after, limit }: Page): Promise<readonly VersionSummary[]> {
    return this.#statements.versions.all({ model, after: after ?? null, limit }) as VersionSummary[]
  }

  async close(): Promise<void> {
    await this.#writer.close()
    this.#db.close()
  }
}

const publicationColumns = `m.digest, m.model, m.version, m.created_at AS createdAt, ${entryColumns}`
const publications = `SELECT ${publicationColumns} FROM manifests m JOIN log_entries e ON e.idx = m.idx`

function prepare(db: Database.Database) {
  return {
    trustRoots: db.prepare(
      `SELECT t.version, t.digest, ${entryColumns} FROM trust_roots t JOIN log_entries e ON e.idx = t.idx ORDER BY t.version`,
    ),
    holder: db.prepare(`SELECT idx AS "index", digest FROM manifests WHERE model = ? AND version = ?`),
    newest: db.prepare("SELECT seq, hash FROM log_entries WHERE model = ? ORDER BY seq DESC LIMIT 1"),
    byVersion: db.prepare(`${publications} WHERE m.model = ? AND m.version = ?`),
    byDigest: db.prepare(`${publications} WHERE m.digest = ?`),
    blob: prepareBlob(db),
    hasBlob: db.prepare("SELECT 1 FROM blobs WHERE sha256 = ?").pluck(),
    models: db.prepare(
      `SELECT model, count(*) AS versions FROM manifests WHERE model > ? AND instr(model, ?) > 0 GROUP BY model ORDER BY model LIMIT ?`,
    ),
    versions: db.prepare(
      `SELECT m.digest, m.version, m.created_at AS createdAt FROM log_entries e JOIN manifests m ON m.idx = e.idx
       WHERE e.model = @model AND e.seq > coalesce((SELECT e.seq FROM manifests m JOIN log_entries e ON e.idx = m.idx
         WHERE m.model = @model AND m.version = @after), -1) ORDER BY e.seq LIMIT @limit`,
    ),
  }
}

function publicationOf(row: PublicationRow | undefined): Publication | null {
  if (!row) return null
  const { index, hash, leaf, ...publication } = row
  return { ...publication, entry: { index, hash, leaf } }
}
