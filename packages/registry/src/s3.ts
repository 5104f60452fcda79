/** Blobs in a bucket. Apart from the rest: this loads the AWS SDK. */
import { modelHasher } from "@weighlock/manifest/node"

import { openS3Place } from "./config.ts"
import { RegistryError } from "./errors.ts"
import { S3BlobStore } from "./store/blobs-s3.ts"
import { type S3Config, placeName } from "./store/s3-place.ts"
import type { StoreRecord } from "./store/store-record.ts"

export { openS3Place } from "./config.ts"
export { S3BlobStore, type S3StoreOptions } from "./store/blobs-s3.ts"
export { type S3Config, type S3Place, parseS3Place } from "./store/s3-place.ts"
export { type ProbeFinding, probeBucket, requireEnforcing } from "./store/s3-probe.ts"
export type { S3Timeouts } from "./store/s3-timeouts.ts"
export type { StoreRecord } from "./store/store-record.ts"
export { type Credentials, type Signing, signHeaders, signUrl } from "./store/sigv4.ts"

export interface OpenedBucket {
  /** As data folders remember it. */
  readonly record: StoreRecord
  readonly blobs: S3BlobStore
  close(): Promise<void>
}

/** A bucket without its registry: for looking through it. Throws USAGE (nobody's blobs are there), UNAVAILABLE. */
export async function openBucket(config: S3Config): Promise<OpenedBucket> {
  const place = await openS3Place(config)
  const name = placeName(place)
  const hasher = modelHasher(1)
  const blobs = new S3BlobStore(place, hasher)
  const close = async (): Promise<void> => {
    blobs.close()
    await hasher.close()
  }
  try {
    const owner = await blobs.owner()
    if (owner === null) throw new RegistryError("USAGE", `no registry keeps its blobs in ${name}`)
    return { record: { name, owner }, blobs, close }
  } catch (error) {
    await close()
    throw error
  }
}
