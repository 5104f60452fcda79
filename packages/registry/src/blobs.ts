/**
 * Where the blobs of a registry are: its data folder, or a bucket. The SDK for buckets is loaded only for one.
 *
 * The ledger's facts are about one store for ever: `blob-store` in the data folder names the bucket, and a ledger that is
 * served with another store is refused.
 */
import type { HashPool } from "@weighlock/manifest/node"

import type { OpenedConfig } from "./config.ts"
import { type Undo, anyBlob } from "./data-folder.ts"
import { RegistryError } from "./errors.ts"
import { RegistryGrants } from "./grants.ts"
import type { BlobStore } from "./store/blobs.ts"
import { FolderBlobStore } from "./store/blobs-fs.ts"
import type { Ledger } from "./store/ledger.ts"
import { type S3Place, placeName } from "./store/s3-place.ts"
import type { S3Timeouts } from "./store/s3-timeouts.ts"
import { readStoreRecord, writeStoreRecord } from "./store/store-record.ts"

export interface BlobsOptions {
  readonly opened: OpenedConfig
  readonly ledger: Ledger
  readonly hashes: HashPool
  readonly undo: Undo
  /** Where clients reach this registry. */
  readonly ownUrl: () => string
  readonly grantLifeSeconds: number | undefined
  readonly storeTimeouts: Partial<S3Timeouts> | undefined
}

export interface OpenedBlobs {
  readonly blobs: BlobStore
  /** The store, if clients send parts to this registry. */
  readonly receiving: FolderBlobStore | null
}

/** Throws USAGE (another store's data folder, another registry's bucket, a bucket that does not enforce), UNAVAILABLE. */
export async function openBlobs(options: BlobsOptions): Promise<OpenedBlobs> {
  const { data, store } = options.opened
  const recorded = await readStoreRecord(data)
  if (store) return { blobs: await openBucket(store, recorded, options), receiving: null }
  if (recorded !== null) throw elsewhere(data, recorded, "the data folder")
  const folder = await FolderBlobStore.open(
    data,
    options.hashes,
    new RegistryGrants(options.ownUrl, options.grantLifeSeconds),
  )
  return { blobs: folder, receiving: folder }
}

async function openBucket(place: S3Place, recorded: string | null, options: BlobsOptions): Promise<BlobStore> {
  const { opened, ledger, hashes, undo, grantLifeSeconds, storeTimeouts } = options
  const given = placeName(place)
  const before = recorded ?? ((await anyBlob(opened.data)) ? "the data folder" : given)
  if (before !== given) throw elsewhere(opened.data, before, given)
  const { S3BlobStore } = await import("./store/blobs-s3.ts")
  const { requireEnforcing } = await import("./store/s3-probe.ts")
  const timeouts = storeTimeouts ?? {}
  await requireEnforcing(place, timeouts)
  const blobs = new S3BlobStore(place, hashes, { timeouts, grantLifeSeconds })
  undo.push(() => blobs.close())
  if ((await ledger.head()) === null && !(await blobs.isEmpty())) throw notOurs(given)
  if (recorded === null) await writeStoreRecord(opened.data, given)
  return blobs
}

function elsewhere(data: string, recorded: string, given: string): RegistryError {
  const hint = recorded.startsWith("s3:") ? `serve it with --store ${recorded}` : "serve it without --store"
  return new RegistryError("USAGE", `the blobs of ${data} are in ${recorded}, not in ${given}`, { hint })
}

/** Two registries below one prefix would expire each other's blobs; and one that lost its ledger would bind versions anew. */
function notOurs(name: string): RegistryError {
  return new RegistryError("USAGE", `${name} holds blobs, and this data folder is new`, {
    hint: "restore the data folder that belongs to it, or take an empty prefix: s3://bucket/another",
  })
}
