/**
 * What a witness remembers: its own key, the logs it watches, and of each the largest tree it has cosigned.
 *
 *     models.acme.example/log   models.acme.example/log+a1b2c3d4+AfWr…=   42   nND/nri/…   the cosigned checkpoint
 */
import type Database from "better-sqlite3"

import type { Hash } from "@weighlock/tlog"

import { type FileKind, openFile } from "../store/database-file.ts"
import { witnessFile } from "./witness-schema.ts"

/** One tree that was cosigned. */
export interface Cosignment {
  readonly size: number
  readonly root: Hash
  /** The checkpoint with the log's signatures and the witness's own. */
  readonly note: string
}

type Row = readonly unknown[]

export class WitnessStore {
  readonly #db: Database.Database
  readonly #swap: (origin: string, from: Cosignment | null, to: Cosignment) => boolean

  /** Opens or creates. Throws USAGE for a file that is none of a witness, STORE_FAILED for a damaged one. */
  constructor(path: string, kind: FileKind = witnessFile) {
    this.#db = openFile(path, kind)
    const insert = this.#db.prepare("INSERT INTO cosigned (origin, size, root, note) VALUES (?, ?, ?, ?)")
    const update = this.#db.prepare(
      "UPDATE cosigned SET size = ?, root = ?, note = ? WHERE origin = ? AND size = ? AND root = ?",
    )
    const swap = this.#db.transaction((origin: string, from: Cosignment | null, { size, root, note }: Cosignment) => {
      if (from !== null) return update.run(size, root, note, origin, from.size, from.root).changes === 1
      if (this.cosigned(origin) !== null) return false
      return insert.run(origin, size, root, note).changes === 1
    })
    this.#swap = (...change) => swap.immediate(...change)
  }

  /** Its own verifier key; `null` before `enrol`. */
  get vkey(): string | null {
    const [row] = this.#db.prepare("SELECT vkey FROM witness").raw().all() as Row[]
    return row === undefined ? null : String(row[0])
  }

  enrol(vkey: string): void {
    this.#db.prepare("INSERT INTO witness (id, vkey) VALUES (1, ?)").run(vkey)
  }

  /** Durable once it returns. */
  addKey(origin: string, vkey: string): void {
    if (this.keysOf(origin).includes(vkey)) return
    this.#db.prepare("INSERT INTO log_keys (origin, vkey) VALUES (?, ?)").run(origin, vkey)
  }

  origins(): readonly string[] {
    const rows = this.#db.prepare("SELECT DISTINCT origin FROM log_keys ORDER BY origin").raw().all() as Row[]
    return rows.map(([origin]) => String(origin))
  }

  /** Empty for a log that is not watched. */
  keysOf(origin: string): readonly string[] {
    const rows = this.#db.prepare("SELECT vkey FROM log_keys WHERE origin = ? ORDER BY vkey").raw().all(origin) as Row[]
    return rows.map(([vkey]) => String(vkey))
  }

  cosigned(origin: string): Cosignment | null {
    const row = this.#db.prepare("SELECT size, root, note FROM cosigned WHERE origin = ?").get(origin)
    if (row === undefined) return null
    const { size, root, note } = row as { size: number; root: Buffer; note: string }
    return { size, root: new Uint8Array(root), note }
  }

  /**
   * From one cosigned tree of a log to the next, in one transaction that compares and swaps; durable once it returns.
   * `false`: somebody else was first. A throw has an unknown outcome: the caller stops the process.
   */
  advance(origin: string, from: Cosignment | null, to: Cosignment): boolean {
    return this.#swap(origin, from, to)
  }

  close(): void {
    this.#db.close()
  }
}
