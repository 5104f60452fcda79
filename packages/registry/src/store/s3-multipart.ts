/** Multipart uploads of a bucket: parts arrive in any order and are one object when the upload is completed. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3"

import { forEach } from "@weighlock/node"

import type { ByteRange } from "./blobs.ts"
import { type Calls, failed, paged, requireEcho, text, wholeNumber } from "./s3-calls.ts"
import { contentType, copy, mostOfOneFile } from "./s3-objects.ts"

export interface Multipart {
  readonly key: string
  /** The bucket's name for it. */
  readonly uploadId: string
  /** ms since epoch, by the bucket's clock. */
  readonly started: number
}
export interface ListedPart {
  readonly number: number
  readonly size: number
  readonly etag: string
  readonly modified: number
}

const copiesAtOnce = 4

export async function createMultipart(calls: Calls, key: string): Promise<Multipart> {
  return await calls.run("a multipart upload", async (client, options) => {
    const command = new CreateMultipartUploadCommand({ ...calls.at(key), ContentType: contentType })
    const { UploadId } = await client.send(command, options)
    return { key, uploadId: text(UploadId), started: Date.now() }
  })
}

/** S3 numbers the parts of an upload from 1 to this. */
const mostParts = 10_000

/** In order of their numbers; `null` when there is no such upload. */
export async function listParts(calls: Calls, { key, uploadId }: Multipart): Promise<readonly ListedPart[] | null> {
  const parts: ListedPart[] = []
  let absent = false
  const pages = paged<ListedPart>(mostParts, async (from) => {
    const page = await calls.orAbsent("list parts", async (client, options) => {
      const input = { ...calls.at(key), UploadId: uploadId, ...(from !== undefined && { PartNumberMarker: from }) }
      const answer = await client.send(new ListPartsCommand(input), options)
      const { Parts = [], IsTruncated, NextPartNumberMarker } = answer
      requireEcho(uploadId, answer.UploadId)
      const found = Parts.map(({ PartNumber, Size, ETag, LastModified }) => ({
        number: wholeNumber(PartNumber),
        size: wholeNumber(Size),
        etag: text(ETag),
        modified: LastModified?.getTime() ?? 0,
      }))
      return { found, next: IsTruncated === true ? text(NextPartNumberMarker) : undefined }
    })
    absent ||= page === null
    return page ?? { found: [], next: undefined }
  })
  for await (const part of pages) parts.push(part)
  return absent ? null : parts
}

/** Whether it was done is only known by looking for the object. */
export async function completeMultipart(
  calls: Calls,
  { key, uploadId }: Multipart,
  parts: readonly ListedPart[],
): Promise<void> {
  const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }))
  const command = new CompleteMultipartUploadCommand({
    ...calls.at(key),
    UploadId: uploadId,
    MultipartUpload: { Parts },
  })
  await calls.runLong("complete", (client, options) => client.send(command, options))
}

export async function abortMultipart(calls: Calls, { key, uploadId }: Multipart): Promise<void> {
  const command = new AbortMultipartUploadCommand({ ...calls.at(key), UploadId: uploadId })
  await calls.orAbsent("abort", (client, options) => client.send(command, options))
}

/** Those under way whose keys begin so; UNAVAILABLE for more than `most`. */
export function listMultiparts(calls: Calls, keys: string, most: number = mostOfOneFile): AsyncGenerator<Multipart> {
  return paged(most, (from) =>
    calls.run("list multipart uploads", async (client, options) => {
      const [KeyMarker, UploadIdMarker] = (from === undefined ? [] : JSON.parse(from)) as string[]
      const answer = await client.send(
        new ListMultipartUploadsCommand({
          Bucket: calls.place.bucket,
          Prefix: calls.place.prefix + keys,
          ...(KeyMarker !== undefined && { KeyMarker }),
          ...(UploadIdMarker !== undefined && { UploadIdMarker }),
        }),
        options,
      )
      requireEcho(calls.place.bucket, answer.Bucket)
      const found = (answer.Uploads ?? []).map(({ Key, UploadId, Initiated }) => ({
        key: calls.below(keys, Key),
        uploadId: text(UploadId),
        started: Initiated?.getTime() ?? 0,
      }))
      if (answer.IsTruncated !== true) return { found, next: undefined }
      return { found, next: JSON.stringify([text(answer.NextKeyMarker), text(answer.NextUploadIdMarker)]) }
    }),
  )
}

/** Copies an object of any size; one of more than `limit` bytes in parts of that many. */
export async function copyLarge(
  calls: Calls,
  from: { readonly key: string; readonly size: number; readonly etag: string },
  to: string,
  limit: number,
): Promise<void> {
  if (from.size <= limit) return await copy(calls, from.key, from.etag, to)
  const target = await createMultipart(calls, to)
  try {
    const parts: ListedPart[] = []
    const numbers = Array.from({ length: Math.ceil(from.size / limit) }, (_, i) => i + 1)
    // After a failure too all have ended before the upload is ended: a part that arrives later would be left behind.
    await forEach(numbers, copiesAtOnce, async (number) => {
      const start = (number - 1) * limit
      const range = { start, end: Math.min(from.size, start + limit) - 1 }
      parts[number - 1] = await copyPart(calls, from, range, target, number)
    })
    await completeMultipart(calls, target, parts)
  } catch (error) {
    await abortMultipart(calls, target).catch(() => undefined) // or it expires
    throw failed("copy", error)
  }
}

async function copyPart(
  calls: Calls,
  from: { readonly key: string; readonly etag: string },
  { start, end }: ByteRange,
  to: Multipart,
  number: number,
): Promise<ListedPart> {
  const command = new UploadPartCopyCommand({
    ...calls.at(to.key),
    UploadId: to.uploadId,
    PartNumber: number,
    CopySource: calls.source(from.key),
    CopySourceIfMatch: from.etag,
    CopySourceRange: `bytes=${start}-${end}`,
  })
  const answer = await calls.runLong("copy", (client, options) => client.send(command, options))
  return { number, size: end - start + 1, etag: text(answer.CopyPartResult?.ETag), modified: 0 }
}
