/**
 * Bytes on their way in: bounded by the signed size, hashed as they pass, and worth something only after the verdict.
 */
import type { FileHandle } from "node:fs/promises"
import { ManifestError } from "@weighlock/manifest"
import type { HashPool } from "@weighlock/manifest/node"

/** What must arrive: `length` bytes with this SHA-256 (hex). `name` is for the error. */
export interface Expected {
  readonly name: string
  readonly length: number
  readonly digest: string
}

/**
 * Gives `keep` the bytes in blocks with their offsets, while each is hashed. Throws DIGEST_MISMATCH as soon as a byte too
 * many comes, or at the end. A body that breaks off is for its source to report.
 */
export async function receive(
  hashes: HashPool,
  body: AsyncIterable<Uint8Array>,
  want: Expected,
  keep: (block: Uint8Array, offset: number) => Promise<void> | void,
): Promise<void> {
  const { digest } = await hashes.hashBytes(exactly(body, want), want.length, { keep })
  requireDigest(want, digest)
}

async function* exactly(body: AsyncIterable<Uint8Array>, want: Expected): AsyncGenerator<Uint8Array> {
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > want.length) throw mismatch(`${want.name}: more than the signed ${want.length} bytes`)
    yield chunk
  }
  if (size !== want.length) throw mismatch(`${want.name}: ${size} of the signed ${want.length} bytes`)
}

export function requireDigest(want: Expected, found: string): void {
  if (found !== want.digest) throw mismatch(`${want.name}: signed sha256:${want.digest}, received sha256:${found}`)
}

/** A file system may write less than it was given (a disk that fills up) without an error: the next call has it. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at)
    at += bytesWritten
  }
}

export function mismatch(message: string): ManifestError {
  return new ManifestError("DIGEST_MISMATCH", message, {
    hint: "nothing of it was used; ask the publisher, and look at who can write the store",
  })
}
