/** Answers. The ETag of every document is the SHA-256 of its bytes. */
import { hash } from "node:crypto"
import type { ServerResponse } from "node:http"
import { Readable, pipeline } from "node:stream"

/** Bytes that are written at once. */
const block = 2 ** 19

export interface AnswerOptions {
  readonly status?: number
  readonly mediaType?: string
  /** For what can never change, such as a manifest by its digest. */
  readonly immutable?: boolean
  /** What a cache may do; says more than `immutable`. */
  readonly cacheControl?: string
}

export function sendJson(response: ServerResponse, value: unknown, options: AnswerOptions = {}): void {
  sendBytes(response, Buffer.from(JSON.stringify(value)), options)
}

/** Sends a document, or 304 when the client has it. */
export function sendBytes(response: ServerResponse, bytes: Uint8Array, options: AnswerOptions = {}): void {
  const { status = 200, mediaType = "application/json", immutable = false, cacheControl } = options
  const etag = `"${hash("sha256", bytes)}"`
  response.setHeader("etag", etag)
  response.setHeader("cache-control", cacheControl ?? (immutable ? "public, max-age=31536000, immutable" : "no-cache"))
  const { method } = response.req
  if (
    status === 200 &&
    (method === "GET" || method === "HEAD") &&
    matches(response.req.headers["if-none-match"], etag)
  ) {
    response.writeHead(304).end()
    return
  }
  response.writeHead(status, { "content-type": mediaType, "content-length": bytes.length })
  if (method === "HEAD") response.end()
  else if (bytes.length <= block) response.end(bytes)
  else pipeline(Readable.from(blocksOf(bytes), { objectMode: false }), response, () => undefined) // or the client went away
}

/** One after the other: who takes some is seen to be there, however long all of it takes. */
function* blocksOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += block) yield bytes.subarray(at, at + block)
}

/** RFC 9110 §13.1.2, weak comparison. */
export function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.split(",").some((each) => [etag, `W/${etag}`, "*"].includes(each.trim()))
}
