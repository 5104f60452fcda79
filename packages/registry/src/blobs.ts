/**
 * Where the blobs of a registry are: its data folder, or a bucket. The SDK for buckets is loaded only for one.
 *
 * The ledger's facts are about one store for ever: `blob-store` in the data folder names the bucket and the mark of this
 * registry there, and a ledger that is served with another store is refused.
 */
import { randomBytes } from "node:crypto"

import type { FileHasher } from "@weighlock/node"

import type { OpenedConfig } from "./config.ts"
import { type Undo, anyBlob } from "./data-folder.ts"
import { RegistryError } from "./errors.ts"
import { RegistryGrants } from "./grants.ts"
import type { BlobStore } from "./store/blobs.ts"
import { FolderBlobStore } from "./store/blobs-fs.ts"
import type { S3BlobStore } from "./store/blobs-s3.ts"
import type { Ledger } from "./store/ledger.ts"
import { type S3Place, placeName } from "./store/s3-place.ts"
import type { S3Timeouts } from "./store/s3-timeouts.ts"
import { type StoreRecord, readStoreRecord, writeStoreRecord } from "./store/store-record.ts"

export interface BlobsOptions {
  readonly opened: OpenedConfig
  readonly ledger: Ledger
  readonly hasher: FileHasher
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
  /** Ends what is under way with a bucket; a folder always answers. */
  readonly close: () => void
}

/** Throws USAGE (another store's data folder, another registry's bucket, a bucket that does not enforce), UNAVAILABLE. */
export async function openBlobs(options: BlobsOptions): Promise<OpenedBlobs> {
  const { data, store } = options.opened
  const recorded = await readStoreRecord(data)
  if (store) {
    const bucket = await openBucket(store, recorded, options)
    return { blobs: bucket, receiving: null, close: () => bucket.close() }
  }
  if (recorded !== null) throw elsewhere(data, recorded.name, "the data folder")
  const folder = await FolderBlobStore.open(
    data,
    options.hasher,
    new RegistryGrants(options.ownUrl, options.grantLifeSeconds),
  )
  return { blobs: folder, receiving: folder, close: () => undefined }
}

async function openBucket(place: S3Place, recorded: StoreRecord | null, options: BlobsOptions): Promise<S3BlobStore> {
  const { opened, hasher, undo, grantLifeSeconds, storeTimeouts } = options
  const given = placeName(place)
  const before = recorded?.name ?? ((await anyBlob(opened.data)) ? "the data folder" : given)
  if (before !== given) throw elsewhere(opened.data, before, given)
  const { S3BlobStore } = await import("./store/blobs-s3.ts")
  const { requireEnforcing } = await import("./store/s3-probe.ts")
  const timeouts = storeTimeouts ?? {}
  await requireEnforcing(place, timeouts)
  const blobs = new S3BlobStore(place, hasher, { timeouts, grantLifeSeconds })
  undo.push(() => blobs.close())
  await requireOurs(blobs, given, recorded, options)
  return blobs
}

/** The prefix has our mark; or it has none and no blobs, and gets it. */
async function requireOurs(
  blobs: S3BlobStore,
  name: string,
  recorded: StoreRecord | null,
  { opened, ledger }: BlobsOptions,
): Promise<void> {
  const found = await blobs.owner()
  if (found !== null && found === recorded?.owner) return
  if (found !== null || !(await blobs.isEmpty())) throw notOurs(name, opened.data)
  if (recorded && (await ledger.models("", { limit: 1 })).length > 0) throw emptied(name, opened.data)
  const owner = recorded?.owner ?? randomBytes(16).toString("hex")
  await writeStoreRecord(opened.data, { name, owner }) // first: a mark that nobody knows would lock all out
  if ((await blobs.claim(owner)) !== owner) throw notOurs(name, opened.data)
}

function elsewhere(data: string, recorded: string, given: string): RegistryError {
  const hint = recorded.startsWith("s3:") ? `serve it with --store ${recorded}` : "serve it without --store"
  return new RegistryError("USAGE", `the blobs of ${data} are in ${recorded}, not in ${given}`, { hint })
}

/** Two registries below one prefix would expire each other's blobs; and one that lost its ledger would bind versions anew. */
function notOurs(name: string, data: string): RegistryError {
  return new RegistryError("USAGE", `${name} holds the blobs of another registry than ${data}`, {
    hint: "serve the data folder that belongs to it, blob-store included; or take an empty prefix: s3://bucket/another",
  })
}

function emptied(name: string, data: string): RegistryError {
  return new RegistryError("USAGE", `${name} is empty, and ${data} has versions whose blobs were there`, {
    hint: `is it the right endpoint? if the blobs are lost, delete ${data}/blob-store, start, and publish them again`,
  })
}
