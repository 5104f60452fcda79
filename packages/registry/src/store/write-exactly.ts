/** Writes a body into its place in a file while counting and hashing it: exactly the declared bytes, or an error. */
import { createHash } from "node:crypto"
import type { FileHandle } from "node:fs/promises"

import { ManifestError } from "@weighlock/manifest"

import { RegistryError } from "../errors.ts"
import type { Part } from "./blobs.ts"
import type { BodyReader } from "./body-reader.ts"

/**
 * DIGEST_MISMATCH: fewer, more or other bytes than the part declares; reading stops at the first byte too many.
 * Rejects when `signal` fires (a newer request writes the same part), and then writes no more.
 */
export async function writeExactly(file: FileHandle, part: Part, body: BodyReader, signal: AbortSignal): Promise<void> {
  const hash = createHash("sha256")
  let size = 0
  for (let chunk = await body.next(signal); chunk; chunk = await body.next(signal)) {
    if (size + chunk.length > part.length) throw mismatch(part, `more than ${part.length} bytes`)
    hash.update(chunk)
    await writeAll(file, chunk, part.offset + size)
    size += chunk.length
  }
  if (size !== part.length) throw mismatch(part, `${size} of ${part.length} bytes`)
  const found = hash.digest("hex")
  if (found !== part.digest) throw mismatch(part, `declared ${part.digest}, received ${found}`)
}

async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  let done = 0
  try {
    while (done < chunk.length) {
      const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position + done)
      done += bytesWritten
    }
  } catch (cause) {
    throw new RegistryError("UNAVAILABLE", "the blob store's disk refused", { cause })
  }
}

function mismatch(part: Part, found: string): ManifestError {
  return new ManifestError("DIGEST_MISMATCH", `part ${part.number}: ${found}`)
}
