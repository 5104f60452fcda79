/**
 * Keeps the bytes of models by their SHA-256. Bytes arrive in parts, wait in staging, and exist for readers only after the
 * store has itself hashed the whole.
 *
 *     declare 9f86d081… (20 MB, 3 parts)  ->  parts 1, 2, 3 in any order  ->  complete  ->  readable as 9f86d081…
 *
 * Keys are a fixed prefix and 64 hex characters: text from a client never becomes part of one.
 */
import { createHash } from "node:crypto"
import type { Readable } from "node:stream"

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

/** First and last byte, both included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** Safe for concurrent use. Its methods reject with UNAVAILABLE when the disk or bucket does not do as told. */
export interface BlobStore {
  /** Bytes of a blob as they are there now; `null` when absent. Never a partial blob, unless the disk was damaged. */
  size(sha256: string): Promise<number | null>
  /** The bytes of an existing blob; `null` when absent. The reader checks the digest: disks and buckets lie. */
  read(sha256: string, range?: ByteRange): Promise<Readable | null>

  /** Prepares to receive an upload and answers the numbers of the parts still missing. Again is fine. */
  declare(upload: Upload): Promise<readonly number[]>
  /**
   * Takes one part of a declared upload (`uploadId`). Resolves when its bytes are kept; of a part that is kept already, or
   * whose blob is there, the body is read and forgotten. The newest of two writers of one part writes, and both have its
   * outcome: the older resolves too, or rejects with UNAVAILABLE. NOT_FOUND: never declared. DIGEST_MISMATCH: other bytes,
   * fewer or more than declared; nothing of them is kept.
   */
  writePart(sha256: string, id: string, number: number, body: Readable): Promise<void>
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
