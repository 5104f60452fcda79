/**
 * What a store makes of headers that whoever has a grant adds to it, without a signature. AWS refuses them; others obey:
 *
 *     PUT /models/staging/9f86…?partNumber=1&uploadId=2~x      as granted
 *     x-amz-copy-source: /payroll/2026.csv                     as the client likes
 */
import { randomBytes } from "node:crypto"

import type { Calls } from "./s3-calls.ts"
import { exchange, isSuccess, probeLife, send, sha256 } from "./s3-exchange.ts"
import { grantPut, linkTo, signPut } from "./s3-grants.ts"
import { abortMultipart, completeMultipart, createMultipart, listParts } from "./s3-multipart.ts"
import { contentType, copy, head, put, remove } from "./s3-objects.ts"
import { objectUrl } from "./s3-place.ts"

const nothing = new Uint8Array()

/** Whether a grant for a part can be turned into a copy of another object. */
export async function copiesForPart(calls: Calls, key: string): Promise<boolean> {
  const [right, other] = [randomBytes(100), randomBytes(200)]
  await put(calls, `${key}-source`, other)
  const multipart = await createMultipart(calls, key)
  const granted = { key, sha256: sha256(right), length: right.length, part: 1, uploadId: multipart.uploadId }
  const grant = await grantPut(calls, granted, probeLife)
  const source = { "x-amz-copy-source": `/${calls.source(`${key}-source`)}` }
  let copies = false
  for (const range of [{}, { "x-amz-copy-source-range": "bytes=0-99" }]) {
    for (const bytes of [right, nothing]) await send(calls, grant, bytes, { ...source, ...range })
    const parts = (await listParts(calls, multipart)) ?? []
    if (parts.length > 0) copies ||= await isOther(calls, key, multipart, parts, right)
    if (copies || parts.length > 0) break
  }
  await abortMultipart(calls, multipart)
  await remove(calls, `${key}-source`)
  return copies
}

async function isOther(
  calls: Calls,
  key: string,
  multipart: Parameters<typeof completeMultipart>[1],
  parts: Parameters<typeof completeMultipart>[2],
  right: Buffer,
): Promise<boolean> {
  await completeMultipart(calls, multipart, parts)
  const { body } = await exchange(calls, "GET", new URL(await linkTo(calls, key, probeLife)), {})
  return !body.equals(right)
}

/** The same for a request that no registry signs: a PUT of no bytes. */
export async function copiesForNothing(calls: Calls, key: string): Promise<boolean> {
  await put(calls, `${key}-source`, randomBytes(200))
  const grant = await signPut(calls, { key, sha256: sha256(nothing), length: 0, part: 1 }, probeLife)
  const { status } = await send(calls, grant, nothing, { "x-amz-copy-source": `/${calls.source(`${key}-source`)}` })
  const copied = isSuccess(status) && (await head(calls, key))?.size === 200
  await remove(calls, `${key}-source`)
  return copied
}

const unsigned = {
  "content-type": "text/html",
  "content-encoding": "gzip",
  "x-amz-acl": "public-read",
  "x-amz-meta-probe": "1",
  "x-amz-website-redirect-location": "/probe",
}

/** Which of them are still there on what a blob would be: the copy of an upload of one part. */
export async function keepsHeaders(calls: Calls, key: string): Promise<readonly string[]> {
  const bytes = randomBytes(100)
  const multipart = await createMultipart(calls, key)
  const granted = { key, sha256: sha256(bytes), length: bytes.length, part: 1, uploadId: multipart.uploadId }
  const grant = await grantPut(calls, granted, probeLife)
  if (!isSuccess((await send(calls, grant, bytes, unsigned)).status)) await send(calls, grant, bytes)
  await completeMultipart(calls, multipart, (await listParts(calls, multipart)) ?? [])
  const found = await head(calls, key)
  const copied = `${key}-copy`
  await copy(calls, key, found?.etag ?? "", copied)
  const { headers } = await exchange(calls, "GET", new URL(await linkTo(calls, copied, probeLife)), {})
  const kept = Object.keys(unsigned).filter((name) => name !== "content-type" && headers[name] !== undefined)
  if (headers["content-type"] !== contentType) kept.push("content-type")
  for (const each of [key, copied]) {
    const anybody = await exchange(calls, "GET", objectUrl(calls.place, each), {})
    if (isSuccess(anybody.status)) kept.push("x-amz-acl")
  }
  await remove(calls, copied)
  return kept
}
