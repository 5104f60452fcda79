/**
 * Checks a whole data folder and says all that is wrong with it. Reads only, one state of the database: the registry may run.
 *
 *     await fsck({ data: "/var/lib/weighlock", trust: "trust.json" })
 *     { size: 1042, root: "nND/nri/…=", findings: [{ rule: "leaf", place: "log_entries 7", index: 7, message: "its hash is …" }] }
 */
import { existsSync } from "node:fs"
import { join } from "node:path"

import { type TrustChain, encodeBase64 } from "@weighlock/manifest"
import type Database from "better-sqlite3"

import { openTrust } from "../config.ts"
import { RegistryError } from "../errors.ts"
import { faultsOf } from "../store/ledger-open.ts"
import { LedgerRows } from "../store/ledger-rows.ts"
import { isSqliteError, openForReading } from "../store/sqlite.ts"
import { type StoreRecord, readStoreRecord } from "../store/store-record.ts"
import { CheckpointCopy } from "./checkpoint-copy.ts"
import { examineBlobFiles } from "./examine/blob-files.ts"
import { type BlobSource, blobsIn } from "./examine/blob-source.ts"
import { OwnNotes, examineCheckpoint, examineCopy, examineCosignatures, openSlots } from "./examine/checkpoints.ts"
import { examineRows } from "./examine/entry-rows.ts"
import { type Finding, finding } from "./examine/finding.ts"
import { Replay } from "./examine/history.ts"
import { examineTree } from "./examine/tree.ts"
import { examineCounts } from "./start-proof.ts"

export interface FsckOptions {
  readonly data: string
  /** The trust root's envelope, or the path of the file. */
  readonly trust: string | Uint8Array
  /** By default `checkpoint` in the data folder. */
  readonly checkpointCopy?: string
  /** Hash every blob again, instead of looking at sizes only. */
  readonly hashBlobs?: boolean
  /** The bucket of a registry that has one. */
  readonly bucket?: { readonly record: StoreRecord; readonly blobs: BlobSource }
}

export interface FsckReport {
  /** Entries that the head counts. */
  readonly size: number
  /** The head's root, base64. */
  readonly root: string
  readonly findings: readonly Finding[]
}

/** Told of each finding as it is made. Throws USAGE (no such folder, another trust root's file), STORE_FAILED (no database at all). */
export async function fsck(options: FsckOptions, onFinding?: (found: Finding) => void): Promise<FsckReport> {
  const { data, checkpointCopy = join(data, "checkpoint"), hashBlobs = false, bucket } = options
  await requireStore(data, bucket?.record)
  const blobs = bucket?.blobs ?? blobsIn(data)
  const trustChain = await openTrust(options.trust)
  const path = join(data, "ledger.sqlite")
  if (!existsSync(path)) throw new RegistryError("USAGE", `${data} holds no ledger.sqlite`)
  const slots = await CheckpointCopy.read(checkpointCopy)
  const findings: Finding[] = []
  const take = (found: Finding): void => {
    findings.push(found)
    onFinding?.(found)
  }
  const db = openForReading(path)
  try {
    db.exec("BEGIN") // after the copy was read: what is published meanwhile makes the database newer, never older
    for (const found of databaseFindings(db, trustChain, slots)) take(found)
    const rows = new LedgerRows(db)
    for await (const found of examineBlobFiles(rows, blobs, hashBlobs)) take(found)
    const head = rows.head()
    return { size: head?.size ?? 0, root: encodeBase64(head?.root ?? new Uint8Array(0)), findings }
  } catch (cause) {
    if (!isSqliteError(cause)) throw cause
    take(finding("database", "ledger.sqlite", `SQLite can't read on: ${String(cause)}`))
    return { size: 0, root: "", findings }
  } finally {
    db.close()
  }
}

function* databaseFindings(
  db: Database.Database,
  trustChain: TrustChain,
  slots: readonly string[] | null,
): Generator<Finding> {
  for (const fault of faultsOf(db)) yield finding("database", "ledger.sqlite", fault)
  const rows = new LedgerRows(db)
  for (const fault of rows.integrityFaults(100)) yield finding("database", "ledger.sqlite", fault)
  const size = rows.head()?.size ?? 0
  const own = new OwnNotes(trustChain.current.log)
  yield* logFindings(rows, size, own, trustChain, slots)
  yield* examineCosignatures(rows)
  yield* examineCounts(rows, size)
  yield* unnamedPayloads(rows)
}

function* logFindings(
  rows: LedgerRows,
  size: number,
  own: OwnNotes,
  trustChain: TrustChain,
  slots: readonly string[] | null,
): Generator<Finding> {
  const replay = new Replay(rows, trustChain)
  const checkpoints = new Checkpoints(rows, own, new Set(openSlots(slots, own).map((copied) => copied.size)))
  yield* examineTree(rows, size, {
    from: 0,
    nextSize: () => checkpoints.next(),
    onRoot: (at, root) => checkpoints.take(at, root),
    *onEntry(row) {
      yield* checkpoints.findings.splice(0)
      yield* examineRows(rows, row, true)
      yield* replay.next(row)
    },
  })
  yield* checkpoints.findings.splice(0)
  yield* checkpoints.beyond(size)
  yield* examineCopy(slots, size, own, (at) => checkpoints.copied.get(at) ?? null)
}

/** Walks the checkpoints along with the tree, and remembers the roots at the sizes that were copied. */
class Checkpoints {
  readonly findings: Finding[] = []
  readonly copied = new Map<number, Uint8Array>()
  readonly #rows: LedgerRows
  readonly #own: OwnNotes
  readonly #wanted: readonly number[]
  #last = 0

  constructor(rows: LedgerRows, own: OwnNotes, copiedSizes: ReadonlySet<number>) {
    this.#rows = rows
    this.#own = own
    this.#wanted = [...copiedSizes].toSorted((a, b) => a - b)
  }

  next(): number {
    const [row] = this.#rows.checkpoints(this.#last, 1)
    const copied = this.#wanted.find((size) => size > this.#last)
    return (this.#last = Math.min(row?.size ?? Infinity, copied ?? Infinity))
  }

  take(size: number, root: Uint8Array): void {
    const [row] = this.#rows.checkpoints(size - 1, 1)
    if (row?.size === size) this.findings.push(...examineCheckpoint(row, root, this.#own))
    if (this.#wanted.includes(size)) this.copied.set(size, root)
  }

  *beyond(size: number): Generator<Finding> {
    for (const row of this.#rows.checkpoints(size, 100)) yield* examineCheckpoint(row, null, this.#own)
    const [last] = this.#rows.checkpoints(size - 1, 1)
    if (size > 0 && last?.size !== size) {
      yield finding("checkpoint", `log_checkpoints ${size}`, "the checkpoint of the last commit is absent")
    }
  }
}

/** Payloads are kept for entries; one that no entry names was put there by somebody else. */
function* unnamedPayloads(rows: LedgerRows): Generator<Finding> {
  for (const sha256 of rows.payloadNames()) {
    if (!rows.isPayloadNamed(sha256)) yield finding("payload", `payloads ${sha256}`, "no entry names it")
  }
}

/** What is absent from the wrong store is not missing. */
async function requireStore(data: string, given: StoreRecord | undefined): Promise<void> {
  const recorded = await readStoreRecord(data)
  if (recorded?.name === given?.name && recorded?.owner === given?.owner) return
  const where = recorded?.name ?? "the folder itself"
  const hint = recorded ? `give --store ${recorded.name}, at the right endpoint` : "leave --store out"
  throw new RegistryError("USAGE", `the blobs of ${data} are in ${where}, as it was marked by this registry`, { hint })
}
