/**
 * The ledger in one SQLite file, one writer process. Calls are synchronous inside: a commit holds the event loop for one
 * fsync, which is why writes arrive in batches (see sequencer.ts).
 */
import { decodeHex, encodeHex } from "@weighlock/manifest"
import { emptyRoot } from "@weighlock/tlog"
import type Database from "better-sqlite3"

import type { RegistryError } from "../errors.ts"
import { LogTables, entryColumns } from "./ledger-log.ts"
import { openLedger } from "./ledger-open.ts"
import { LedgerRows } from "./ledger-rows.ts"
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
import { WalCopier } from "./wal-copier.ts"

interface BlobRow {
  readonly sha256: string
  readonly size: number
  readonly part_size: number | null
  readonly part_digests: Buffer | null
}

type PublicationRow = Omit<Publication, "entry"> & LogEntry
type TrustRow = Omit<TrustRecord, "entry"> & LogEntry

const maxNewest = 50_000

export class SqliteLedger implements Ledger {
  readonly #db: Database.Database
  readonly #log: LogTables
  readonly #statements: ReturnType<typeof prepare>
  /** The newest entries of models that were asked about: this process alone moves them. */
  readonly #newest = new Map<string, Facts["newest"]>()

  readonly #path: string
  #copier: WalCopier | null = null

  /** Opens or creates the file. Throws USAGE when it is not a ledger of ours, STORE_FAILED when it is damaged. */
  constructor(path: string) {
    this.#path = path
    this.#db = openLedger(path)
    this.#log = new LogTables(this.#db, emptyRoot())
    this.#statements = prepare(this.#db)
  }

  /** The value of a pragma on this very connection: what a test asserts after re-opening. */
  pragma(name: string): unknown {
    return this.#db.pragma(name, { simple: true })
  }

  /** From now on a thread copies the WAL back. `onFailed`: told when it failed; must end the process. */
  copyAside(onFailed: (error: RegistryError) => void): void {
    this.#copier = new WalCopier(this.#path, onFailed)
  }

  /** The rows as they are, for the proof at start. */
  rows(): LedgerRows {
    return new LedgerRows(this.#db)
  }

  async head(): Promise<LogHead | null> {
    return this.#log.head()
  }

  async fence(): Promise<LogHead> {
    return this.#log.fence()
  }

  async commit(commit: LogCommit): Promise<void> {
    this.#log.commit(commit)
    this.#copier?.wrote(commit.entries.length)
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
    this.#log.addCosignatures(size, cosignatures)
  }

  async cosignatures(size: number): Promise<readonly Cosignature[]> {
    return this.#log.cosignatures(size)
  }

  async cosignedSizes(limit: number): Promise<readonly number[]> {
    return this.#log.cosignedSizes(limit)
  }

  async facts(batch: readonly Wanted[]): Promise<readonly Facts[]> {
    return batch.map((wanted) => this.#factsOf(wanted))
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
    const record = this.#db.transaction(() => batch.map((facts) => this.#record(facts)))
    return record.immediate()
  }

  #record(facts: BlobFacts): BlobFacts {
    const digests =
      facts.parts && Buffer.concat(facts.parts.digests.map((digest) => decodeHex(digest, "a part digest")))
    this.#statements.addBlob.run(facts.sha256, facts.size, facts.parts?.size ?? null, digests ?? null, Date.now())
    return factsOf(this.#statements.blob.get(facts.sha256) as BlobRow)
  }

  async forgetBlobs(before: number): Promise<readonly string[]> {
    return this.#db.transaction(() => this.#statements.forgetBlobs.all(before) as string[]).immediate()
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
    await this.#copier?.close()
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
    blob: db.prepare("SELECT sha256, size, part_size, part_digests FROM blobs WHERE sha256 = ?"),
    hasBlob: db.prepare("SELECT 1 FROM blobs WHERE sha256 = ?").pluck(),
    addBlob: db.prepare(
      "INSERT INTO blobs (sha256, size, part_size, part_digests, recorded_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    ),
    forgetBlobs: db
      .prepare(
        `DELETE FROM blobs WHERE recorded_at < ? AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE blob = sha256) RETURNING sha256`,
      )
      .pluck(),
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

function factsOf(row: BlobRow): BlobFacts {
  const facts = { sha256: row.sha256, size: row.size }
  if (row.part_size === null || row.part_digests === null) return facts
  const bytes = row.part_digests
  const digests = Array.from({ length: bytes.length / 32 }, (_, i) => encodeHex(bytes.subarray(i * 32, i * 32 + 32)))
  return { ...facts, parts: { size: row.part_size, digests } }
}
