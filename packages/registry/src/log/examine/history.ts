/** May every entry stand where it stands: signatures by known keys, and the rules of the history in order? */
import {
  HistoryError,
  ManifestError,
  type OpenedEntry,
  type PublicKey,
  ReplayedHistory,
  type TrustChain,
  openEntry,
  parseLeaf,
} from "@weighlock/manifest"

import type { EntryRow, LedgerRows } from "../../store/ledger-rows.ts"
import { type Finding, entryFinding } from "./finding.ts"

export function keysOf({ roots }: TrustChain): ReadonlyMap<string, PublicKey> {
  return new Map(roots.flatMap(({ keys }) => [...keys].map(([keyid, { key }]) => [keyid, key] as const)))
}

/** Only what follows from an entry alone. */
export function* examineSignatures(
  rows: LedgerRows,
  row: EntryRow,
  keys: ReadonlyMap<string, PublicKey>,
): Generator<Finding> {
  const opened = open(rows, row, keys)
  if (opened instanceof ManifestError) yield broken(row, opened)
}

/** Replays entry by entry; what breaks a rule is told, and what follows is judged from there. */
export class Replay {
  readonly #history: ReplayedHistory
  readonly #keys: ReadonlyMap<string, PublicKey>
  readonly #rows: LedgerRows

  constructor(rows: LedgerRows, trustChain: TrustChain) {
    this.#history = new ReplayedHistory(trustChain)
    this.#keys = keysOf(trustChain)
    this.#rows = rows
  }

  *next(row: EntryRow): Generator<Finding> {
    while (this.#history.size < row.idx) this.#history.skip()
    const opened = open(this.#rows, row, this.#keys)
    const error = opened instanceof ManifestError ? this.#skip(opened) : this.#apply(opened)
    if (error) yield broken(row, error)
  }

  #skip(error: ManifestError): ManifestError {
    this.#history.skip()
    return error
  }

  #apply(opened: OpenedEntry): ManifestError | null {
    try {
      this.#history.apply(opened)
      return null
    } catch (error) {
      if (error instanceof ManifestError) return error
      throw error
    }
  }
}

function broken({ idx }: EntryRow, error: ManifestError): Finding {
  return entryFinding("history", idx, error instanceof HistoryError ? `${error.rule}: ${error.message}` : error.message)
}

function open(rows: LedgerRows, { leaf }: EntryRow, keys: ReadonlyMap<string, PublicKey>): OpenedEntry | ManifestError {
  try {
    const { payload } = parseLeaf(leaf)
    return openEntry(leaf, payload.inline ? null : rows.payload(payload.sha256), keys, "native")
  } catch (error) {
    if (error instanceof ManifestError) return error
    throw error
  }
}
