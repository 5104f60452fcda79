/**
 * Start-up is a proof: what the ledger's head says follows from its entries and tiles, its last checkpoint is ours, and the
 * copy of the last published checkpoint, kept outside the database, is a state that this log went through; otherwise the
 * registry does not start.
 *
 * All tiles are checked, leaves and rows of the newest 100,000 entries, signatures of the newest 1,000. `fsck` checks all.
 */
import type { PublicKey, TrustChain } from "@weighlock/manifest"
import { tileWidth } from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import type { EntryRow, LedgerRows } from "../store/ledger-rows.ts"
import { CheckpointCopy } from "./checkpoint-copy.ts"
import { OwnNotes, examineCheckpoint, examineCopy, openSlots } from "./examine/checkpoints.ts"
import { examineRows } from "./examine/entry-rows.ts"
import { type Finding, finding } from "./examine/finding.ts"
import { examineSignatures, keysOf } from "./examine/history.ts"
import { examineTree } from "./examine/tree.ts"

const leavesChecked = 100_000
const signaturesChecked = 1000

export interface StartProof {
  readonly rows: LedgerRows
  readonly trustChain: TrustChain
  /** Path of the copy of the checkpoint. */
  readonly copy: string
}

/** Throws STORE_FAILED, naming the first thing that differs. */
export async function proveStart({ rows, trustChain, copy }: StartProof): Promise<void> {
  const slots = await CheckpointCopy.read(copy)
  for (const found of findings(rows, trustChain, slots)) throw refused(found)
}

function* findings(rows: LedgerRows, trustChain: TrustChain, slots: readonly string[] | null): Generator<Finding> {
  const own = new OwnNotes(trustChain.current.log)
  const size = rows.head()?.size ?? 0
  const roots = new Map<number, Uint8Array>()
  const sizes = [size, ...openSlots(slots, own).map((copied) => copied.size)].filter((each) => each > 0)
  const wanted = [...new Set(sizes)].toSorted((a, b) => a - b)[Symbol.iterator]()
  const keys = keysOf(trustChain)
  const from = Math.max(0, size - leavesChecked)
  yield* examineTree(rows, size, {
    from: from - (from % tileWidth),
    nextSize: () => wanted.next().value ?? Infinity,
    onRoot: (at, root) => roots.set(at, root),
    onEntry: (row) => examineEntry(rows, row, row.idx >= size - signaturesChecked ? keys : null),
  })
  yield* examineCopy(slots, size, own, (at) => roots.get(at) ?? null)
  yield* examineLast(rows, size, own, roots)
  yield* examineCounts(rows, size)
}

function* examineEntry(
  rows: LedgerRows,
  row: EntryRow,
  keys: ReadonlyMap<string, PublicKey> | null,
): Generator<Finding> {
  yield* examineRows(rows, row, keys !== null)
  if (keys) yield* examineSignatures(rows, row, keys)
}

function* examineLast(
  rows: LedgerRows,
  size: number,
  own: OwnNotes,
  roots: ReadonlyMap<number, Uint8Array>,
): Generator<Finding> {
  const [last, ...beyond] = rows.checkpoints(size - 1, 2)
  if (size === 0 && !last) return
  if (!last) yield finding("checkpoint", `log_checkpoints ${size}`, "the checkpoint of the last commit is absent")
  for (const row of [last, ...beyond]) if (row) yield* examineCheckpoint(row, roots.get(row.size) ?? null, own)
}

/** Rows that no entry accounts for: all entries but the first two are about a model, and each has one manifest. */
export function* examineCounts(rows: LedgerRows, size: number): Generator<Finding> {
  const [manifests, roots] = [rows.count("manifests"), rows.count("trust_roots")]
  if (manifests !== Math.max(0, size - 2)) yield finding("row", "manifests", `${manifests} rows for ${size} entries`)
  if (roots !== Math.min(1, size)) yield finding("row", "trust_roots", `${roots} rows for one trust root`)
}

function refused({ place, message }: Finding): RegistryError {
  return new RegistryError("STORE_FAILED", `the registry does not start: ${place}: ${message}`, {
    hint: "`weighlock registry fsck` says all that is wrong and what to do",
  })
}
