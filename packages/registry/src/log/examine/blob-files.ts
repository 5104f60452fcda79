/** Has the blob store what manifests need? A blob that is missing or resized is healed by publishing its files again. */
import { createHash } from "node:crypto"

import type { BlobFactsRow, LedgerRows } from "../../store/ledger-rows.ts"
import type { BlobSource } from "./blob-source.ts"
import { type Finding, finding } from "./finding.ts"

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
