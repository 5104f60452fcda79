/** Reads a file that others may be writing to. */
import type { FileHandle } from "node:fs/promises"

/**
 * What a regular file held when it was asked how much that is; `null` for what is none, or has changed its size since. A file
 * that grows while it is read can't make anyone read on.
 */
export async function readWhole(file: FileHandle): Promise<Uint8Array | null> {
  const found = await file.stat()
  if (!found.isFile()) return null
  const bytes = Buffer.alloc(found.size + 1)
  let size = 0
  for (let got = -1; got !== 0 && size < bytes.length; size += got)
    got = (await file.read(bytes, size, bytes.length - size, size)).bytesRead
  return size === found.size ? bytes.subarray(0, size) : null
}
