/** Has the blob store what manifests need? A blob that is missing or resized is healed by publishing its files again. */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { lstat } from "node:fs/promises"
import { join } from "node:path"

import type { BlobFactsRow, LedgerRows } from "../../store/ledger-rows.ts"
import { type Finding, finding } from "./finding.ts"

const page = 1000

/** `hash`: read every blob again, too. */
export async function* examineBlobFiles(rows: LedgerRows, data: string, hash: boolean): AsyncGenerator<Finding> {
  for (let after = "", found = rows.neededBlobs(after, page); found.length > 0; found = rows.neededBlobs(after, page)) {
    for (const blob of found) {
      const fault = await faultOf(blob, join(data, "blobs", blob.sha256.slice(0, 2), blob.sha256), hash)
      if (fault) yield finding("blob-file", `blobs/${blob.sha256}`, fault)
      after = blob.sha256
    }
  }
}

async function faultOf({ sha256, size }: BlobFactsRow, path: string, hash: boolean): Promise<string | null> {
  const found = await lstat(path).catch(() => null)
  if (!found?.isFile()) return "it is absent: publish its files again"
  if (found.size !== size) return `it has ${found.size} bytes, ${size} were proven: publish its files again`
  if (!hash) return null
  const actual = createHash("sha256")
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) actual.update(chunk as Buffer)
  const digest = actual.digest("hex")
  return digest === sha256 ? null : `its SHA-256 is ${digest}: remove it, and publish its files again`
}
