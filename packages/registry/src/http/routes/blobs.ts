/** The bytes of a blob, whole or one range (RFC 9110 §14). */
import { pipeline } from "node:stream/promises"

import { RegistryError } from "../../errors.ts"
import type { BlobStore, ByteRange } from "../../store/blobs.ts"
import { matches } from "../respond.ts"
import { type Input, type Route, route } from "../route.ts"
import { digestParams } from "../schemas.ts"

export function blobRoutes(blobs: BlobStore): readonly Route[] {
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
      },
      handle: (input) => sendBlob(blobs, input),
    }),
  ]
}

async function sendBlob(
  blobs: BlobStore,
  { params, request, response }: Input<{ sha256: string }, unknown>,
): Promise<void> {
  const size = await blobs.size(params.sha256)
  if (size === null) throw absent(params.sha256)
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
  const length = range ? range.end - range.start + 1 : size
  const headers = { "content-type": "application/octet-stream", "content-length": length }
  if (request.method === "HEAD") return void response.writeHead(200, headers).end()
  const body = await blobs.read(params.sha256, range ?? undefined)
  if (!body) throw absent(params.sha256)
  response.writeHead(range ? 206 : 200, headers)
  await pipeline(body, response)
}

/** `null`: no range in bytes was asked for. Several ranges, or one outside the blob, are unsatisfiable. */
export function parseRange(header: string | undefined, size: number): ByteRange | "unsatisfiable" | null {
  if (header === undefined || !/^bytes=/i.test(header)) return null
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header) ?? []
  if (first === "" && last === "") return "unsatisfiable"
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1)
  return start > end ? "unsatisfiable" : { start, end }
}

function absent(sha256: string): RegistryError {
  return new RegistryError("NOT_FOUND", `no blob sha256:${sha256}`)
}
