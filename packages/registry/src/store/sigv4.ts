/**
 * AWS Signature Version 4 for S3: a request whose headers are signed, its body's SHA-256 among them, and a URL that may be
 * read for some seconds.
 *
 *     PUT https://s3.example/models/staging/9f86…?partNumber=1&uploadId=2~x
 *     x-amz-content-sha256: 9f86d081…                     the store refuses any other body
 *     x-amz-date: 20261123T120000Z
 *     authorization: AWS4-HMAC-SHA256 Credential=AKIA…/20261123/us-east-1/s3/aws4_request,
 *       SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb8…
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHash, createHmac } from "node:crypto"

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

export interface Signing {
  readonly credentials: Credentials
  readonly region: string
  readonly at: Date
}

const algorithm = "AWS4-HMAC-SHA256"

export interface MoreHeaders {
  /** Signed, and to be sent. */
  readonly extra?: Readonly<Record<string, string>> | undefined
  /** Signed, and sent by every client anyway. */
  readonly implied?: Readonly<Record<string, string>>
}

/** The headers that let `method` be sent to `url`, with a body of this SHA-256 (hex) only. */
export function signHeaders(
  method: string,
  url: URL,
  sha256: string,
  signing: Signing,
  { extra = {}, implied = {} }: MoreHeaders = {},
): Record<string, string> {
  const { sessionToken, accessKeyId } = signing.credentials
  const own: Record<string, string> = {
    ...extra,
    "x-amz-content-sha256": sha256,
    "x-amz-date": stamp(signing.at),
    ...(sessionToken !== undefined && { "x-amz-security-token": sessionToken }),
  }
  const signed: Record<string, string> = { ...own, ...implied, host: url.host }
  const names = Object.keys(signed).toSorted().join(";")
  const signature = sign(canonical(method, url, signed, sha256), signing)
  const authorization = `${algorithm} Credential=${accessKeyId}/${scope(signing)}, SignedHeaders=${names}, Signature=${signature}`
  return { ...own, authorization }
}

/** `url` with a signature in its query, good for GET during `seconds`. */
export function signUrl(url: URL, seconds: number, signing: Signing): string {
  const { sessionToken, accessKeyId } = signing.credentials
  const signed = new URL(url)
  const query = {
    "X-Amz-Algorithm": algorithm,
    "X-Amz-Credential": `${accessKeyId}/${scope(signing)}`,
    "X-Amz-Date": stamp(signing.at),
    "X-Amz-Expires": String(seconds),
    "X-Amz-SignedHeaders": "host",
    ...(sessionToken !== undefined && { "X-Amz-Security-Token": sessionToken }),
  }
  for (const [name, value] of Object.entries(query)) signed.searchParams.set(name, value)
  const signature = sign(canonical("GET", signed, { host: signed.host }, "UNSIGNED-PAYLOAD"), signing)
  signed.search = `${canonicalQuery(signed)}&X-Amz-Signature=${signature}`
  return signed.href
}

/** As RFC 3986 has it: all but the unreserved characters. */
export function encodeValue(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (found) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function canonical(method: string, url: URL, headers: Readonly<Record<string, string>>, payload: string): string {
  const names = Object.keys(headers).toSorted()
  const lines = names.map((name) => `${name}:${headers[name]?.trim() ?? ""}\n`).join("")
  return [method, url.pathname, canonicalQuery(url), lines, names.join(";"), payload].join("\n")
}

function canonicalQuery(url: URL): string {
  return [...url.searchParams]
    .map(([name, value]) => `${encodeValue(name)}=${encodeValue(value)}`)
    .toSorted()
    .join("&")
}

function sign(request: string, { credentials, region, at }: Signing): string {
  const digest = createHash("sha256").update(request).digest("hex")
  const text = [algorithm, stamp(at), scope({ region, at }), digest].join("\n")
  const day = hmac(`AWS4${credentials.secretAccessKey}`, stamp(at).slice(0, 8))
  const key = hmac(hmac(hmac(day, region), "s3"), "aws4_request")
  return hmac(key, text).toString("hex")
}

function scope({ region, at }: Pick<Signing, "region" | "at">): string {
  return `${stamp(at).slice(0, 8)}/${region}/s3/aws4_request`
}

/** `20261123T120000Z` */
function stamp(at: Date): string {
  return at.toISOString().replaceAll(/[-:]|\.\d{3}/g, "")
}

function hmac(key: string | Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest()
}
