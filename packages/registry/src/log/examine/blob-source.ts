/** Where the blobs are that are looked at: a bucket, or the folder of one. */
import { createReadStream } from "node:fs"
import { lstat } from "node:fs/promises"
import { join } from "node:path"

import type { BlobStore } from "../../store/blobs.ts"

/** What is looked at of a store. */
export type BlobSource = Pick<BlobStore, "size"> & {
  read(sha256: string): Promise<AsyncIterable<Uint8Array> | null>
}

/** The blobs of a data folder, for reading only. */
export function blobsIn(data: string): BlobSource {
  const path = (sha256: string): string => join(data, "blobs", sha256.slice(0, 2), sha256)
  return {
    size: async (sha256) => {
      const found = await lstat(path(sha256)).catch(() => null)
      return found?.isFile() ? found.size : null
    },
    read: async (sha256) => createReadStream(path(sha256), { highWaterMark: 1024 * 1024 }),
  }
}
