/** The facts of blobs as their table keeps them. */
import { decodeHex, encodeHex } from "@weighlock/manifest/base"
import type Database from "better-sqlite3"

import type { BlobFacts } from "./ledger.ts"

export interface BlobRow {
  readonly sha256: string
  readonly size: number
  readonly part_size: number | null
  readonly part_digests: Buffer | null
}

/** Prepares what answers a `BlobRow`. */
export function prepareBlob(db: Database.Database): Database.Statement {
  return db.prepare("SELECT sha256, size, part_size, part_digests FROM blobs WHERE sha256 = ?")
}

export function rowOf({ sha256, size, parts }: BlobFacts): BlobRow {
  const digests = parts && Buffer.concat(parts.digests.map((digest) => decodeHex(digest, "a part digest")))
  return { sha256, size, part_size: parts?.size ?? null, part_digests: digests ?? null }
}

export function factsOf(row: BlobRow): BlobFacts {
  const facts = { sha256: row.sha256, size: row.size }
  if (row.part_size === null || row.part_digests === null) return facts
  const bytes = row.part_digests
  const digests = Array.from({ length: bytes.length / 32 }, (_, i) => encodeHex(bytes.subarray(i * 32, i * 32 + 32)))
  return { ...facts, parts: { size: row.part_size, digests } }
}
