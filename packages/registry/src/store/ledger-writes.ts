/** Every write to the ledger, each in one transaction. Runs in the writer's thread, on the one connection that writes. */
import { emptyRoot } from "@weighlock/tlog/hash"
import type Database from "better-sqlite3"

import { RegistryError } from "../errors.ts"
import { type BlobRow, factsOf, prepareBlob, rowOf } from "./ledger-blobs.ts"
import type { BlobFacts, Cosignature, LogCommit, LogHead, NewEntry } from "./ledger.ts"

export class LedgerWrites {
  readonly #db: Database.Database
  readonly #statements: ReturnType<typeof prepare>

  constructor(db: Database.Database) {
    this.#db = db
    this.#statements = prepare(db)
  }

  fence(): LogHead {
    const { makeHead, raiseEpoch, head } = this.#statements
    return this.#atOnce(() => {
      makeHead.run(emptyRoot())
      raiseEpoch.run()
      return head.get() as LogHead
    })
  }

  commit({ from, to, entries, tiles, note }: LogCommit): void {
    const { moveHead, addTile, addCheckpoint } = this.#statements
    this.#atOnce(() => {
      const moved = moveHead.run(to.size, to.root, from.size, from.root, from.epoch)
      if (moved.changes !== 1) throw fenced(from)
      for (const entry of entries) this.#addEntry(entry)
      for (const { level, n, hashes } of tiles) addTile.run(level, n, hashes)
      if (note !== null) addCheckpoint.run(to.size, note)
    })
  }

  #addEntry({ index, hash, leaf, place, payload, manifest, trustRoot }: NewEntry): void {
    const { addEntry, addPayload, addManifest, addManifestBlob, addTrustRoot } = this.#statements
    addEntry.run(index, hash, place?.model ?? null, place?.seq ?? null, leaf)
    if (payload) addPayload.run(payload.sha256, payload.bytes)
    if (trustRoot) addTrustRoot.run(trustRoot.version, trustRoot.digest, index)
    if (!manifest) return
    addManifest.run(index, manifest.digest, manifest.model, manifest.version, manifest.createdAt)
    for (const blob of new Set(manifest.blobs)) addManifestBlob.run(index, blob)
  }

  recordBlobs(batch: readonly BlobFacts[]): readonly BlobFacts[] {
    const { addBlob, blob, dropNote } = this.#statements
    return this.#atOnce(() =>
      batch.map((facts) => {
        addBlob.run({ ...rowOf(facts), recorded_at: Date.now() })
        dropNote.run(facts.sha256, Number.MAX_SAFE_INTEGER)
        return factsOf(blob.get(facts.sha256) as BlobRow)
      }),
    )
  }

  noteUnrecorded(digests: readonly string[]): void {
    this.#atOnce(() => {
      for (const sha256 of digests) this.#statements.addNote.run(sha256, Date.now())
    })
  }

  forgetBlobs(before: number): readonly string[] {
    const { noteUnneeded, forgetBlobs, notes } = this.#statements
    return this.#atOnce(() => {
      noteUnneeded.run(before)
      forgetBlobs.run(before)
      return notes.all(before) as string[]
    })
  }

  dropNotes(digests: readonly string[], before: number): void {
    this.#atOnce(() => {
      for (const sha256 of digests) this.#statements.dropNote.run(sha256, before)
    })
  }

  addCosignatures(size: number, cosignatures: readonly Cosignature[]): void {
    this.#atOnce(() => {
      for (const { vkey, line } of cosignatures) this.#statements.addCosignature.run(size, vkey, line)
    })
  }

  forgetCosignatures(witnessed: number): void {
    this.#statements.forgetCosignatures.run(witnessed, witnessed, cosignedKept)
  }

  pragma(name: string): unknown {
    return this.#db.pragma(name, { simple: true })
  }

  #atOnce<T>(work: () => T): T {
    return this.#db.transaction(work).immediate()
  }
}

/** Sizes, of those that lack a quorum: an answer that comes after so many newer ones is too late. */
const cosignedKept = 100

function fenced({ size, epoch }: LogHead): RegistryError {
  const message = `the log is not at ${size} entries of epoch ${epoch} any more: another process has taken it over`
  return new RegistryError("CONFLICT", message)
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
    forgetCosignatures: db.prepare(
      "DELETE FROM log_cosignatures WHERE size < ? OR (size > ? AND size NOT IN (SELECT DISTINCT size FROM log_cosignatures ORDER BY size DESC LIMIT ?))",
    ),
    blob: prepareBlob(db),
    addBlob: db.prepare(
      "INSERT INTO blobs (sha256, size, part_size, part_digests, recorded_at) VALUES (@sha256, @size, @part_size, @part_digests, @recorded_at) ON CONFLICT DO NOTHING",
    ),
    noteUnneeded: db.prepare(
      `INSERT INTO unrecorded_blobs (sha256, noted_at) SELECT sha256, recorded_at FROM blobs WHERE ${unneeded} ${renewed}`,
    ),
    forgetBlobs: db.prepare(`DELETE FROM blobs WHERE ${unneeded}`),
    addNote: db.prepare(`INSERT INTO unrecorded_blobs (sha256, noted_at) VALUES (?, ?) ${renewed}`),
    notes: db.prepare("SELECT sha256 FROM unrecorded_blobs WHERE noted_at < ?").pluck(),
    dropNote: db.prepare("DELETE FROM unrecorded_blobs WHERE sha256 = ? AND noted_at < ?"),
  }
}

const unneeded = "recorded_at < ? AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE blob = sha256)"
const renewed = "ON CONFLICT DO UPDATE SET noted_at = excluded.noted_at"
