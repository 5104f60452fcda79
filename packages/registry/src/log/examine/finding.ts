/**
 * What can be wrong with a ledger, by name. At start the first finding refuses; `weighlock registry fsck` lists them all.
 *
 *     { "rule": "leaf", "place": "log_entries 7", "message": "its hash is 9c1f…, the leaf's is 0b44…" }
 */
export const fsckRules = {
  database: "the file is a ledger of this version, undamaged, with every table and trigger",
  head: "the head is the number of entries and the root over them",
  tile: "every full tile is there and holds the hashes of the level below",
  leaf: "an entry's hash is that of its leaf",
  row: "model, seq, version, digest and blobs of an entry's rows are those that its leaf and payload name",
  payload: "every payload that is not in its leaf is kept beside it, with its digest",
  checkpoint: "every checkpoint kept is signed by the log, and names the root of its size",
  copy: "the copy of the last checkpoint, outside the database, is a state this log went through",
  cosignature: "every cosignature kept verifies",
  history: "every entry is one that the rules of the history allow",
  "blob-facts": "the size and parts of a blob are those that manifests name",
  "blob-file": "the blob store has every blob that a manifest needs, in its size",
} as const

export type FsckRule = keyof typeof fsckRules

export interface Finding {
  readonly rule: FsckRule
  /** The table and row, or the file. */
  readonly place: string
  /** The entry that is concerned, when it is one. */
  readonly index?: number
  readonly message: string
}

export function finding(rule: FsckRule, place: string, message: string, index?: number): Finding {
  return { rule, place, message, ...(index !== undefined && { index }) }
}

/** Of an entry's row. */
export function entryFinding(rule: FsckRule, index: number, message: string): Finding {
  return finding(rule, `log_entries ${index}`, message, index)
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
