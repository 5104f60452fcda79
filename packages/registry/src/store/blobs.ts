/**
 * Keeps the bytes of models by their SHA-256. Bytes arrive in parts, wait in staging, and exist for readers only after the
 * store has itself hashed the whole.
 *
 *     declare 9f86d081… (20 MB, 3 parts)  ->  parts 1, 2, 3 in any order  ->  complete  ->  readable as 9f86d081…
 *
 * Keys are a fixed prefix and 64 hex characters: text from a client never becomes part of one.
 */
import { createHash } from "node:crypto"

import type { BlobFacts } from "./ledger.ts"

/** What an uploader says it will send. `parts` exactly as in a manifest: present when size > 8 MiB. */
export type Upload = BlobFacts

/** One part of an upload: numbered from 1, `length` bytes at `offset`, whose SHA-256 (hex) must be `digest`. */
export interface Part {
  readonly number: number
  readonly offset: number
  readonly length: number
  readonly digest: string
}

/** A request that stores one part of an upload, for whoever sends it with exactly these bytes within a few minutes. */
export interface Grant {
  readonly part: number
  readonly method: "PUT"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

/** First and last byte, both included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** The memory of a block may be used again once the next one is asked for. Whoever does not read to the end destroys it. */
export interface BlobBody extends AsyncIterable<Uint8Array> {
  destroy(): unknown
}

/** Safe for concurrent use. Its methods reject with UNAVAILABLE when the disk or bucket does not do as told. */
export interface BlobStore {
  /** Bytes of a blob as they are there now; `null` when absent. Never a partial blob, unless the disk was damaged. */
  size(sha256: string): Promise<number | null>
  /** The bytes of an existing blob; `null` when absent. The reader checks the digest: disks and buckets lie. */
  read(sha256: string, range?: ByteRange): Promise<BlobBody | null>

  /** Where a reader gets the bytes of an existing blob himself for a few minutes; `null`: only from `read`. */
  link(sha256: string): Promise<string | null>

  /** Prepares to receive an upload; grants for the parts still missing, in order, at most `most`. Again is fine. */
  declare(upload: Upload, most: number): Promise<readonly Grant[]>
  /**
   * Hashes the whole of what was staged for a digest (unless its one part was that) and makes it readable and durable,
   * also in the place of a blob that is damaged. NOT_FOUND: nothing is staged.
   * CONFLICT: parts are missing. DIGEST_MISMATCH: it is something else, and has been thrown away.
   */
  complete(sha256: string): Promise<BlobFacts>

  /** Deletes a blob's bytes. Deleting what is absent succeeds. */
  remove(sha256: string): Promise<void>
  /** Throws away uploads that nobody touched since `before` (ms since epoch); answers how many. */
  expire(before: number): Promise<number>
  /** Rejects while the disk or bucket does not answer, within a few seconds. */
  reach(): Promise<void>
}

/** Names one declaration: equal for equal size and parts, so that nobody can spoil another's upload of the same digest. */
export function uploadId({ sha256, size, parts }: Upload): string {
  const lines = [sha256, String(size), String(parts?.size ?? 0), ...(parts?.digests ?? [])]
  return createHash("sha256").update(lines.join("\n")).digest("hex")
}

/** The part with this number (from 1), or `null`. A file without parts is part 1. */
export function partOf(upload: Upload, number: number): Part | null {
  const partSize = upload.parts?.size ?? upload.size
  const digest = (upload.parts?.digests ?? [upload.sha256])[number - 1]
  if (digest === undefined) return null
  const offset = (number - 1) * partSize
  return { number, offset, length: Math.min(partSize, upload.size - offset), digest }
}

/** How many parts an upload has: at least 1. */
export function partCount(upload: Upload): number {
  return upload.parts?.digests.length ?? 1
}
