/**
 * Bytes on their way in: bounded by the signed size, hashed as they pass, and worth something only after the verdict.
 */
import { createHash } from "node:crypto"
import type { FileHandle } from "node:fs/promises"
import { ManifestError } from "@weighlock/manifest"

/** What must arrive: `length` bytes with this SHA-256 (hex). `name` is for the error. */
export interface Expected {
  readonly name: string
  readonly length: number
  readonly digest: string
}

/**
 * Hands each chunk to `keep` with its offset. Throws DIGEST_MISMATCH as soon as a byte too many comes, or at the end.
 * A body that breaks off is for its source to report.
 */
export async function receive(
  body: AsyncIterable<Uint8Array>,
  want: Expected,
  keep: (chunk: Uint8Array, offset: number) => Promise<void> | void,
): Promise<void> {
  const hash = createHash("sha256")
  let size = 0
  for await (const chunk of body) {
    if (size + chunk.length > want.length) throw mismatch(`${want.name}: more than the signed ${want.length} bytes`)
    await keep(chunk, size)
    hash.update(chunk)
    size += chunk.length
  }
  if (size !== want.length) throw mismatch(`${want.name}: ${size} of the signed ${want.length} bytes`)
  const found = hash.digest("hex")
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
