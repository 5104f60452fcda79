/**
 * Objects of a bucket.
 *
 *     await head(calls, "blobs/sha256/9f/9f86d081…")   // { size: 4, etag: '"098f6bcd…"' }, or null
 */
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetBucketLifecycleConfigurationCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from "@aws-sdk/client-s3"

import type { ByteRange } from "./blobs.ts"
import { type Calls, attempts, failed, odd, paged, requireEcho, statusOf, text, wholeNumber } from "./s3-calls.ts"

export interface Found {
  readonly size: number
  readonly etag: string
}
export interface Listed {
  readonly key: string
  readonly size: number
  /** ms since epoch, by the bucket's clock. */
  readonly modified: number
}

/** A body that breaks off again is given up, unless so many bytes came in between. */
const worthIt = 8 * 1024 * 1024
/** Bytes in a ms: a body may take as long as a call, and what it takes at 1 MB/s. */
const leastRate = 1000
/** Of every object: a browser that is sent to one saves it. */
export const contentType = "application/octet-stream"

/** `null` when absent. */
export async function head(calls: Calls, key: string): Promise<Found | null> {
  return await calls.orAbsent("HEAD", async (client, options) => {
    const { ContentLength, ETag } = await client.send(new HeadObjectCommand(calls.at(key)), options)
    return { size: wholeNumber(ContentLength), etag: text(ETag) }
  })
}

/**
 * Exactly the bytes of that object, or of a range in it: UNAVAILABLE when they are fewer or more, come too slowly, or when the
 * object was replaced meanwhile. A body that breaks off is asked for again from there.
 */
export async function* bytesOf(calls: Calls, key: string, found: Found, range?: ByteRange): AsyncGenerator<Uint8Array> {
  const end = range?.end ?? found.size - 1
  let at = range?.start ?? 0
  let [failures, since] = [0, at]
  const wait = { leftMs: calls.timeouts.call + (end - at) / leastRate }
  while (at <= end) {
    try {
      for await (const chunk of open(calls, key, found, { start: at, end }, wait)) {
        at += chunk.length
        yield chunk
      }
    } catch (error) {
      failures = at - since >= worthIt ? 1 : failures + 1
      since = at
      if (failures >= attempts || wait.leftMs <= 0 || (statusOf(error) ?? 500) < 500) throw failed("GET", error)
    }
  }
}

interface Body extends AsyncIterable<Uint8Array> {
  destroy(error?: Error): unknown
  on(event: "error", listener: () => void): unknown
}

/** ms that may still be spent waiting for bytes; the reader may take its time. */
interface Wait {
  leftMs: number
}

async function* open(
  calls: Calls,
  key: string,
  found: Found,
  range: ByteRange,
  wait: Wait,
): AsyncGenerator<Uint8Array> {
  const { limit, done } = calls.limit()
  let waited = watch(limit, calls.timeouts.idle, wait)
  try {
    const body = await requested(calls, key, found, range, limit.signal)
    limit.signal.addEventListener("abort", () => body.destroy(limit.signal.reason as Error))
    try {
      let left = range.end - range.start + 1
      for await (const chunk of body) {
        if (chunk.length > left) throw odd("more bytes came than were asked for")
        left -= chunk.length
        waited()
        yield chunk
        waited = watch(limit, calls.timeouts.idle, wait)
      }
      if (left > 0) throw odd(`${left} bytes are missing`)
    } finally {
      body.destroy()
    }
  } finally {
    waited()
    done()
  }
}

/** Ends it all unless what this answers is called in time. */
function watch(limit: AbortController, idle: number, wait: Wait): () => void {
  const began = performance.now()
  const why = wait.leftMs < idle ? "too few bytes came in all that time" : "nothing came"
  const timer = setTimeout(() => limit.abort(odd(why)), Math.min(idle, Math.max(0, wait.leftMs)))
  return () => {
    clearTimeout(timer)
    wait.leftMs -= performance.now() - began
  }
}

async function requested(
  calls: Calls,
  key: string,
  { size, etag }: Found,
  { start, end }: ByteRange,
  signal: AbortSignal,
): Promise<Body> {
  const Range = `bytes=${start}-${end}`
  return await calls.open("GET", signal, async (client, options) => {
    const answer = await client.send(new GetObjectCommand({ ...calls.at(key), Range, IfMatch: etag }), options)
    const body = answer.Body as Body | undefined
    if (!body) throw odd("an answer without a body")
    body.on("error", () => undefined) // also when nobody reads it any more
    const fits = answer.ContentLength === end - start + 1 && answer.ContentRange === `bytes ${start}-${end}/${size}`
    if (fits) return body
    body.destroy()
    throw odd(`${Range} of ${size} was asked for, and something else came`)
  })
}

/** Deleting what is absent succeeds. */
export async function remove(calls: Calls, key: string): Promise<void> {
  await calls.orAbsent("DELETE", (client, options) => client.send(new DeleteObjectCommand(calls.at(key)), options))
}

/** A few bytes of our own. `onlyNew`: refused, by stores that can, where something is already. */
export async function put(calls: Calls, key: string, body: Uint8Array, onlyNew = false): Promise<void> {
  const command = new PutObjectCommand({
    ...calls.at(key),
    Body: body,
    ContentType: contentType,
    ...(onlyNew && { IfNoneMatch: "*" }),
  })
  await calls.run("PUT", (client, options) => client.send(command, options))
}

/** On the bucket's side, at most 5 GiB; the source only if it is still what it was. Of it only the bytes are taken over. */
export async function copy(calls: Calls, from: string, etag: string, to: string): Promise<void> {
  const command = new CopyObjectCommand({
    ...calls.at(to),
    CopySource: calls.source(from),
    CopySourceIfMatch: etag,
    MetadataDirective: "REPLACE",
    ContentType: contentType,
  })
  await calls.runLong("copy", (client, options) => client.send(command, options))
}

/** Objects and uploads of one file that are under way: a few. */
export const mostOfOneFile = 10_000
/** What uploads have left behind, of all files. */
export const mostLeftovers = 10_000_000

/** UNAVAILABLE for more than `most`. In pages of 1,000, or `pageSize`. */
export function list(
  calls: Calls,
  keys: string,
  { most = mostOfOneFile, pageSize }: { readonly most?: number; readonly pageSize?: number } = {},
): AsyncGenerator<Listed> {
  return paged(most, (from) =>
    calls.run("list", async (client, options) => {
      const command = new ListObjectsV2Command({
        Bucket: calls.place.bucket,
        Prefix: calls.place.prefix + keys,
        ...(pageSize !== undefined && { MaxKeys: pageSize }),
        ...(from !== undefined && { ContinuationToken: from }),
      })
      const { Name, Contents = [], IsTruncated, NextContinuationToken } = await client.send(command, options)
      requireEcho(calls.place.bucket, Name)
      const found = Contents.map(({ Key, Size, LastModified }) => ({
        key: calls.below(keys, Key),
        size: wholeNumber(Size),
        modified: LastModified?.getTime() ?? 0,
      }))
      return { found, next: IsTruncated === true ? text(NextContinuationToken) : undefined }
    }),
  )
}

/** Rejects with UNAVAILABLE, within `ms`, unless the bucket lists what is below the prefix. */
export async function reach(calls: Calls, ms: number): Promise<void> {
  const { bucket, prefix } = calls.place
  const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 })
  await calls.runShort(ms, "list", async (client, options) => {
    requireEcho(bucket, (await client.send(command, options)).Name)
  })
}

/** Whether a rule of the bucket ends multipart uploads that were left behind; `null` when it does not say. */
export async function endsMultiparts(calls: Calls): Promise<boolean | null> {
  const command = new GetBucketLifecycleConfigurationCommand({ Bucket: calls.place.bucket })
  try {
    const answer = await calls.orAbsent("lifecycle", (client, options) => client.send(command, options))
    const isOn = (rule: { Status?: string | undefined; AbortIncompleteMultipartUpload?: unknown }): boolean =>
      rule.Status === "Enabled" && rule.AbortIncompleteMultipartUpload !== undefined
    return answer?.Rules?.some(isOn) ?? false
  } catch {
    return null
  }
}
