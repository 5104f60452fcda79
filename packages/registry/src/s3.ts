/** Blobs in a bucket. Apart from the rest: this loads the AWS SDK. */
import { randomBytes } from "node:crypto"

import { modelHasher } from "@weighlock/manifest/node"
import { HttpClient, retrying } from "@weighlock/node"

import { openS3Place } from "./config.ts"
import { RegistryError } from "./errors.ts"
import type { Grant } from "./store/blobs.ts"
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
  /** Sends a part by its grant, as a client does. Throws UNAVAILABLE. */
  send(grant: Grant, bytes: Uint8Array): Promise<void>
  close(): Promise<void>
}

/**
 * A bucket without its registry: for looking through it, or for filling it. `claim`: an empty place that is nobody's gets the
 * mark of a registry to be. Throws USAGE (nobody's blobs are there), UNAVAILABLE.
 */
export async function openBucket(
  config: S3Config,
  { claim = false }: { readonly claim?: boolean } = {},
): Promise<OpenedBucket> {
  const place = await openS3Place(config)
  const name = placeName(place)
  const hasher = modelHasher(1)
  const blobs = new S3BlobStore(place, hasher)
  const http = new HttpClient({ totalMs: 900_000, maxBytes: 65_536, ca: place.ca })
  const close = async (): Promise<void> => {
    http.close()
    blobs.close()
    await hasher.close()
  }
  try {
    const owner = (await blobs.owner()) ?? (claim && (await blobs.isEmpty()) ? await claimed(blobs) : null)
    if (owner === null) throw new RegistryError("USAGE", `no registry keeps its blobs in ${name}`)
    return { record: { name, owner }, blobs, send: (grant, bytes) => sendPart(http, grant, bytes), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function claimed(blobs: S3BlobStore): Promise<string> {
  const owner = randomBytes(16).toString("hex")
  if ((await blobs.claim(owner)) === owner) return owner
  throw new RegistryError("CONFLICT", "another registry has just claimed that bucket")
}

async function sendPart(http: HttpClient, { method, url, headers }: Grant, body: Uint8Array): Promise<void> {
  const { host } = new URL(url)
  const task = async (): Promise<void> => {
    const { status } = await http.request(new URL(url), { method, headers, body })
    if (status < 200 || status > 204) throw new RegistryError("UNAVAILABLE", `${host} answered ${status} to a part`)
  }
  await retrying(task, { mayHelp: () => true }).catch((cause: unknown) => {
    if (cause instanceof RegistryError) throw cause
    throw new RegistryError("UNAVAILABLE", `${host} did not take a part: ${(cause as Error).message}`, { cause })
  })
}
