/** A file that the user names: links are followed, and no more than it may have is read. */
import { open } from "node:fs/promises"
import { ClientError } from "./errors.ts"

/** `what` is said of a file that is too long: TOO_LARGE. Throws what the system says of one that cannot be read. */
export async function readGiven(path: string, limit: number, what: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const bytes = Buffer.alloc(limit + 1)
    let size = 0
    for (let got = -1; got !== 0 && size < bytes.length; size += got)
      got = (await file.read(bytes, size, bytes.length - size)).bytesRead
    if (size > limit) throw new ClientError("TOO_LARGE", `${path} exceeds the ${limit} bytes of ${what}`)
    return bytes.subarray(0, size)
  } finally {
    await file.close()
  }
}
