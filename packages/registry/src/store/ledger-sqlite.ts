/**
 * The ledger in one SQLite file, one writer process.
 *
 * SQLite compiled for WAL defaults to synchronous=NORMAL, which loses acknowledged commits on a power cut; hence FULL, set
 * on every open together with the other pragmas below and read back by a test. Calls are synchronous inside: a commit
 * holds the event loop for one fsync, which is why writes arrive in batches (see sequencer.ts).
 */
import { decodeHex, encodeHex } from "@weighlock/manifest"
import type Database from "better-sqlite3"

import { RegistryError } from "../errors.ts"
import { applicationId, schema, schemaVersion } from "./ledger-schema.ts"
import type { Binding, BlobFacts, Candidate, Ledger, ModelSummary, Page, Publication, TrustRecord } from "./ledger.ts"
import { isSqliteError, openDatabase } from "./sqlite.ts"

const pragmas = [
  "journal_mode = WAL",
  "synchronous = FULL",
  "foreign_keys = ON",
  "trusted_schema = OFF",
  "cell_size_check = ON",
  "busy_timeout = 5000",
] as const

const publicationColumns = `digest, model, version, created_at AS createdAt, envelope`

interface BlobRow {
  readonly sha256: string
  readonly size: number
  readonly part_size: number | null
  readonly part_digests: Buffer | null
}

export class SqliteLedger implements Ledger {
  readonly #db: Database.Database
  readonly #statements: ReturnType<typeof prepare>

  /** Opens or creates the file. Throws USAGE when it is not a ledger of ours, STORE_FAILED when it is damaged. */
  constructor(path: string) {
    this.#db = openDatabase(path, 5000)
    try {
      for (const pragma of pragmas) this.#db.pragma(pragma)
      this.#create(path)
      if (this.#db.pragma("quick_check(1)", { simple: true }) !== "ok") throw damaged(path)
      if (schemaOf(this.#db) !== ownSchema()) throw damaged(path)
      if ((this.#db.pragma("foreign_key_check") as unknown[]).length > 0) throw damaged(path)
      this.#statements = prepare(this.#db)
    } catch (error) {
      this.#db.close()
      throw isSqliteError(error) ? damaged(path, error) : error
    }
  }

  #create(path: string): void {
    const id = this.#db.pragma("application_id", { simple: true })
    const version = this.#db.pragma("user_version", { simple: true })
    if (id === applicationId && version === schemaVersion) return
    const { tables } = this.#db.prepare("SELECT count(*) AS tables FROM sqlite_schema").get() as { tables: number }
    if (id !== 0 || version !== 0 || tables !== 0) {
      throw new RegistryError("USAGE", `${path} is not a ledger of this version of the registry`)
    }
    const create = this.#db.transaction(() => {
      this.#db.exec(schema)
      this.#db.pragma(`application_id = ${applicationId}`)
      this.#db.pragma(`user_version = ${schemaVersion}`)
    })
    create.immediate()
  }

  /** The value of a pragma on this very connection: what a test asserts after re-opening. */
  pragma(name: string): unknown {
    return this.#db.pragma(name, { simple: true })
  }

  /** Every publication, one at a time: for the proof at start. Nothing else may use the ledger meanwhile. */
  newestFirst(): Iterable<Publication> {
    return this.#statements.newestFirst.iterate() as Iterable<Publication>
  }

  allTrustRoots(): readonly TrustRecord[] {
    return this.#statements.trustRoots.all() as TrustRecord[]
  }

  async trustRoots(): Promise<readonly TrustRecord[]> {
    return this.#statements.trustRoots.all() as TrustRecord[]
  }

  async addTrustRoot(root: TrustRecord): Promise<void> {
    const add = this.#db.transaction(() => {
      const known = (this.#statements.trustRoots.all() as TrustRecord[]).find(({ version }) => version === root.version)
      if (known?.digest === root.digest) return
      if (known)
        throw new RegistryError("CONFLICT", `trust root ${root.version} is ${known.digest}, not ${root.digest}`)
      this.#statements.addTrustRoot.run(root)
    })
    add.immediate()
  }

  async publish(batch: readonly Candidate[]): Promise<readonly Binding[]> {
    return this.#db.transaction(() => batch.map((candidate) => this.#bind(candidate))).immediate()
  }

  #bind(candidate: Candidate): Binding {
    const holder = this.#statements.byVersion.get(candidate.model, candidate.version) as Publication | undefined
    if (holder) return { holder, created: false }
    const missing = candidate.blobs.filter((sha256) => this.#statements.blob.get(sha256) === undefined)
    if (missing.length > 0) return { missing }
    const { blobs, ...publication } = candidate
    const { lastInsertRowid } = this.#statements.addManifest.run(publication)
    for (const blob of new Set(blobs)) this.#statements.addManifestBlob.run(lastInsertRowid, blob)
    return { holder: publication, created: true }
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

  async byVersion(model: string, version: string): Promise<Publication | null> {
    return (this.#statements.byVersion.get(model, version) as Publication | undefined) ?? null
  }

  async byDigest(digest: string): Promise<Publication | null> {
    return (this.#statements.byDigest.get(digest) as Publication | undefined) ?? null
  }

  async blobs(digests: readonly string[]): Promise<ReadonlyMap<string, BlobFacts>> {
    const rows = digests.map((sha256) => this.#statements.blob.get(sha256) as BlobRow | undefined)
    return new Map(rows.filter((row) => row !== undefined).map((row) => [row.sha256, factsOf(row)]))
  }

  async models(query: string, { after = "", limit }: Page): Promise<readonly ModelSummary[]> {
    return this.#statements.models.all(after, query, limit) as ModelSummary[]
  }

  async versions(model: string, { after, limit }: Page): Promise<readonly Omit<Publication, "envelope">[]> {
    return this.#statements.versions.all({ model, after: after ?? null, limit }) as Omit<Publication, "envelope">[]
  }

  async close(): Promise<void> {
    this.#db.close()
  }
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

function prepare(db: Database.Database) {
  return {
    trustRoots: db.prepare("SELECT version, digest, envelope FROM trust_roots ORDER BY version"),
    newestFirst: db.prepare(`SELECT ${publicationColumns} FROM manifests ORDER BY position DESC`),
    addTrustRoot: db.prepare(
      "INSERT INTO trust_roots (version, digest, envelope) VALUES (@version, @digest, @envelope)",
    ),
    byVersion: db.prepare(`SELECT ${publicationColumns} FROM manifests WHERE model = ? AND version = ?`),
    byDigest: db.prepare(`SELECT ${publicationColumns} FROM manifests WHERE digest = ?`),
    addManifest: db.prepare(
      `INSERT INTO manifests (digest, model, version, created_at, envelope) VALUES (@digest, @model, @version, @createdAt, @envelope)`,
    ),
    addManifestBlob: db.prepare("INSERT INTO manifest_blobs (manifest, blob) VALUES (?, ?)"),
    blob: db.prepare("SELECT sha256, size, part_size, part_digests FROM blobs WHERE sha256 = ?"),
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
      `SELECT digest, model, version, created_at AS createdAt FROM manifests WHERE model = @model AND position > coalesce(
         (SELECT position FROM manifests WHERE model = @model AND version = @after), 0) ORDER BY position LIMIT @limit`,
    ),
  }
}

function factsOf(row: BlobRow): BlobFacts {
  const facts = { sha256: row.sha256, size: row.size }
  if (row.part_size === null || row.part_digests === null) return facts
  const bytes = row.part_digests
  const digests = Array.from({ length: bytes.length / 32 }, (_, i) => encodeHex(bytes.subarray(i * 32, i * 32 + 32)))
  return { ...facts, parts: { size: row.part_size, digests } }
}

function damaged(path: string, cause?: unknown): RegistryError {
  return new RegistryError("STORE_FAILED", `${path} is damaged or cannot be opened: restore it from a backup`, {
    cause,
  })
}
