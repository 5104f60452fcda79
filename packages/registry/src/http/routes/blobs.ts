/** The bytes of a blob, whole or one range (RFC 9110 §14). */
import type { ServerResponse } from "node:http"

import { RegistryError } from "../../errors.ts"
import type { BlobStore, ByteRange } from "../../store/blobs.ts"
import type { Ledger } from "../../store/ledger.ts"
import { matches } from "../respond.ts"
import { type Input, type Route, route } from "../route.ts"
import { sendBody } from "../send-body.ts"
import { digestParams } from "../schemas.ts"

export interface BlobSources {
  readonly blobs: BlobStore
  readonly ledger: Ledger
  /** Told of a blob that the ledger knows and the store has not, or not as it was. */
  readonly onDamaged: (sha256: string) => void
}

export function blobRoutes(sources: BlobSources): readonly Route[] {
  return [
    route({
      method: "get",
      path: "/api/v1/blobs/sha256/{sha256}",
      summary: "The bytes with this digest.",
      scope: "read",
      params: digestParams,
      answers: {
        200: { description: "The whole blob.", mediaType: "application/octet-stream" },
        206: { description: "The range asked for.", mediaType: "application/octet-stream" },
        307: { description: "Where the bytes are, for some minutes: ask there, for the same range." },
      },
      handle: (input) => sendBlob(sources, input),
    }),
  ]
}

async function sendBlob(
  sources: BlobSources,
  { params, request, response }: Input<{ sha256: string }, unknown>,
): Promise<void> {
  const size = await provenSize(sources, params.sha256)
  const etag = `"${params.sha256}"`
  response.setHeader("etag", etag)
  response.setHeader("accept-ranges", "bytes")
  response.setHeader("cache-control", "public, max-age=31536000, immutable")
  if (matches(request.headers["if-none-match"], etag)) return void response.writeHead(304).end()
  const ifRange = request.headers["if-range"]
  const wantsRange = request.method === "GET" && (ifRange === undefined || ifRange === etag)
  const range = wantsRange ? parseRange(request.headers.range, size) : null
  if (range === "unsatisfiable") {
    response.setHeader("content-range", `bytes */${size}`)
    throw new RegistryError("RANGE_NOT_SATISFIABLE", `one range within ${size} bytes, please`)
  }
  if (range) response.setHeader("content-range", `bytes ${range.start}-${range.end}/${size}`)
  if (request.method === "GET") {
    const link = await sources.blobs.link(params.sha256)
    if (link !== null) return redirect(response, link)
  }
  const length = range ? range.end - range.start + 1 : size
  const headers = { "content-type": "application/octet-stream", "content-length": length }
  if (request.method === "HEAD") return void response.writeHead(200, headers).end()
  const body = await sources.blobs.read(params.sha256, range ?? { start: 0, end: size - 1 })
  if (!body) throw absent(params.sha256)
  response.strictContentLength = true // a file that ends early cuts the connection, instead of leaving the client waiting
  response.writeHead(range ? 206 : 200, headers)
  await sendBody(body, response)
}

/** The answer is about this moment, whatever the bytes are: no cache may keep the address. */
function redirect(response: ServerResponse, location: string): void {
  for (const name of ["etag", "content-range", "accept-ranges"]) response.removeHeader(name)
  response.setHeader("cache-control", "no-store")
  response.writeHead(307, { location, "content-length": 0 }).end()
}

/**
 * The size of a blob that is there as it was proven. NOT_FOUND: never proven, or its file is gone or of another size: such
 * a file is not the blob, and publishing again puts the blob back.
 */
async function provenSize({ blobs, ledger, onDamaged }: BlobSources, sha256: string): Promise<number> {
  const known = (await ledger.blobs([sha256])).get(sha256)
  if (!known) throw absent(sha256)
  const size = await blobs.size(sha256)
  if (size === known.size) return size
  onDamaged(sha256)
  throw absent(sha256)
}

/** `null`: no range in bytes was asked for. Several ranges, or one outside the blob, are unsatisfiable. */
export function parseRange(header: string | undefined, size: number): ByteRange | "unsatisfiable" | null {
  if (header === undefined || !/^bytes=/i.test(header)) return null
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/i.exec(header) ?? []
  if (first === "" && last === "") return "unsatisfiable"
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1)
  return start > end ? "unsatisfiable" : { start, end }
}

function absent(sha256: string): RegistryError {
  return new RegistryError("NOT_FOUND", `no blob sha256:${sha256}`)
}
