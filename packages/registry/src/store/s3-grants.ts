/**
 * Requests to a bucket that the registry signs and a client sends: one PUT of exactly these bytes, or reads of one object.
 *
 * A store takes a request with signed headers until 15 minutes after its date, so the date of a grant lies back by the
 * difference: S3 has no other end for such a request.
 */
import { ManifestError } from "@weighlock/manifest"

import type { Grant } from "./blobs.ts"
import type { Calls } from "./s3-calls.ts"
import { objectUrl } from "./s3-place.ts"
import { type Signing, encodeValue, signHeaders, signUrl } from "./sigv4.ts"

export const emptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
const takenSeconds = 900

export interface Granted {
  readonly key: string
  /** Of the body: the bucket refuses any other. */
  readonly sha256: string
  /** Of the body, in bytes. Signed too: there are stores that take an empty body for any hash. */
  readonly length: number
  readonly part: number
  /** Of a multipart upload. */
  readonly uploadId?: string
  /** More to be signed and sent. */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Good for `seconds` (at most 15 minutes). DIGEST_MISMATCH: no bytes at all, or their digest. There are stores that take such a
 * request with an unsigned `x-amz-copy-source` for a copy of whatever the registry may read.
 */
export async function grantPut(calls: Calls, granted: Granted, seconds: number): Promise<Grant> {
  const { sha256, length } = granted
  if (length === 0 || sha256 === emptySha256) throw impossible(sha256, length)
  return await signPut(calls, granted, seconds)
}

export function impossible(sha256: string, length: number): ManifestError {
  return new ManifestError("DIGEST_MISMATCH", `${sha256} is not the digest of ${length} bytes`)
}

/** Whatever the bytes: for a probe. */
export async function signPut(calls: Calls, granted: Granted, seconds: number): Promise<Grant> {
  const { key, sha256, part, uploadId } = granted
  const url = objectUrl(calls.place, key)
  if (uploadId !== undefined) url.search = `partNumber=${part}&uploadId=${encodeValue(uploadId)}`
  const at = new Date(Date.now() - (takenSeconds - seconds) * 1000)
  const headers = signHeaders("PUT", url, sha256, await signing(calls, at), {
    extra: granted.headers,
    implied: { "content-length": String(granted.length) },
  })
  return { part, method: "PUT", url: url.href, headers }
}

/** A URL that anybody may GET for so many seconds. */
export async function linkTo(calls: Calls, key: string, seconds: number): Promise<string> {
  return signUrl(objectUrl(calls.place, key), seconds, await signing(calls, new Date()))
}

async function signing(calls: Calls, at: Date): Promise<Signing> {
  return { credentials: await calls.credentials(), region: calls.place.region, at }
}
