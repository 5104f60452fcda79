/** Has the blob store what manifests need? A blob that is missing or resized is healed by publishing its files again. */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { lstat } from "node:fs/promises"
import { join } from "node:path"

import type { BlobStore } from "../../store/blobs.ts"
import type { BlobFactsRow, LedgerRows } from "../../store/ledger-rows.ts"
import { type Finding, finding } from "./finding.ts"

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

const page = 1000

/** `hash`: read every blob again, too. */
export async function* examineBlobFiles(rows: LedgerRows, blobs: BlobSource, hash: boolean): AsyncGenerator<Finding> {
  for (let after = "", found = rows.neededBlobs(after, page); found.length > 0; found = rows.neededBlobs(after, page)) {
    for (const blob of found) {
      const fault = await faultOf(blob, blobs, hash)
      if (fault) yield finding("blob-file", `blobs/${blob.sha256}`, fault)
      after = blob.sha256
    }
  }
}

async function faultOf({ sha256, size }: BlobFactsRow, blobs: BlobSource, hash: boolean): Promise<string | null> {
  const found = await blobs.size(sha256)
  if (found === null) return "it is absent: publish its files again"
  if (found !== size) return `it has ${found} bytes, ${size} were proven: publish its files again`
  if (!hash) return null
  const actual = createHash("sha256")
  for await (const chunk of (await blobs.read(sha256)) ?? []) actual.update(chunk)
  const digest = actual.digest("hex")
  return digest === sha256 ? null : `its SHA-256 is ${digest}: remove it, and publish its files again`
}
