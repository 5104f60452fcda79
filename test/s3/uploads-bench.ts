/**
 * The registry's uploads over a bucket and a ledger of its own: `node uploads-bench.ts FOLDER CONFIG expire|upload` is a process
 * that a test can kill in the middle. `upload` sends eight random blobs, and prints what it sent when they are recorded.
 */
import assert from "node:assert/strict"
import { join } from "node:path"

import { HashPool } from "@weighlock/manifest/node"
import { type BlobFacts, Sequencer, SqliteLedger, Strays, Uploads } from "@weighlock/registry"
import { S3BlobStore, type S3Config, parseS3Place } from "@weighlock/registry/s3"

import { type Parcel, most, parcel } from "../contract/blob-store.ts"
import { putGranted } from "./support.ts"

export interface UploadsBench {
  readonly uploads: Uploads
  readonly ledger: SqliteLedger
  readonly store: S3BlobStore
  close(): Promise<void>
}

/** `forgets`: whether blobs that no manifest needs expire. */
export function openUploads(folder: string, config: S3Config, forgets = true): UploadsBench {
  const hashes = new HashPool(1)
  const ledger = new SqliteLedger(join(folder, "ledger.sqlite"))
  const store = new S3BlobStore(parseS3Place(config), hashes)
  const records = new Sequencer<BlobFacts, BlobFacts>((batch) => ledger.recordBlobs(batch), {
    maxItems: 10_000,
    maxBytes: 1e9,
    sizeOf: () => 100,
    onFailed: assert.ifError,
  })
  const strays = new Strays({ ledger, kept: (after) => store.kept(after), since: 0 })
  const uploads = new Uploads({
    ledger,
    blobs: store,
    records,
    forgetBlobs: async (before) => (forgets ? await ledger.forgetBlobs(before) : []),
    strays: (before) => strays.next(before),
    patience: 60_000,
    onDamaged: () => undefined,
  })
  const close = async (): Promise<void> => {
    store.close()
    await records.close()
    await ledger.close()
    await hashes.close()
  }
  return { uploads, ledger, store, close }
}

/** Asks, sends and completes, as a client does. */
export async function upload({ uploads, store }: UploadsBench, sent: readonly Parcel[]): Promise<void> {
  await Promise.all(
    sent.map(async ({ upload: file, part }) => {
      for (const grant of await store.declare(file, most)) await putGranted(grant, part(grant.part))
      assert.equal(await uploads.complete(file.sha256), "present")
    }),
  )
}

export const later = (): number => Date.now() + 3_600_000

if (import.meta.main) {
  const [folder = "", config = "", work] = process.argv.slice(2)
  const bench = openUploads(folder, JSON.parse(config) as S3Config)
  if (work === "expire") await bench.uploads.expire(later())
  else {
    const sent = Array.from({ length: 8 }, () => parcel(1000))
    await upload(bench, sent)
    process.stdout.write(JSON.stringify(sent.map(({ upload: { sha256 } }) => sha256)))
  }
  await bench.close()
}
