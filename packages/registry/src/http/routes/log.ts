/**
 * The log as c2sp.org/tlog-tiles has it, for whoever wants to check it, also from a web page.
 *
 *     /log/checkpoint                   the newest signed checkpoint: asked for again each time
 *     /log/tile/0/x001/234.p/8          hashes; what a path holds never changes
 *     /log/tile/entries/x001/234        entries; compressed when asked
 *     /log/payload/sha256/6b86b273…     a payload too large for its entry
 */
import { promisify } from "node:util"
import { gzip } from "node:zlib"

import { RegistryError } from "../../errors.ts"
import type { LogReader } from "../../log/reader.ts"
import { sendBytes } from "../respond.ts"
import { type Input, type Route, route } from "../route.ts"
import { digestParams } from "../schemas.ts"
import { tileParams } from "../schemas-log.ts"

const octets = "application/octet-stream"
const noteType = "text/plain; charset=utf-8"
const compress = promisify(gzip)

export function logRoutes(reader: LogReader): readonly Route[] {
  return [
    route({
      method: "get",
      path: "/log/checkpoint",
      summary: "The signed checkpoint of the log, c2sp.org/tlog-checkpoint.",
      scope: "read",
      answers: { 200: { description: "A signed note.", mediaType: noteType } },
      handle: async ({ response }) => {
        sendBytes(response, Buffer.from(reader.checkpoint().note), { mediaType: noteType })
      },
    }),
    route({
      method: "get",
      path: "/log/tile/{tile+}",
      summary: "A tile of hashes or entries, c2sp.org/tlog-tiles.",
      scope: "read",
      params: tileParams,
      oddParams: "NOT_FOUND", // as a web server with the same files answers
      answers: { 200: { description: "The tile.", mediaType: octets } },
      handle: (input) => sendTile(reader, input),
    }),
    route({
      method: "get",
      path: "/log/payload/sha256/{sha256}",
      summary: "A logged payload that is too large for its entry.",
      scope: "read",
      params: digestParams,
      answers: { 200: { description: "The payload.", mediaType: octets } },
      handle: async ({ params, response }) => {
        sendBytes(response, await reader.payload(params.sha256), { mediaType: octets, immutable: true })
      },
    }),
  ]
}

async function sendTile(
  reader: LogReader,
  { params, request, response }: Input<{ tile: string }, unknown>,
): Promise<void> {
  const bytes = await reader.tile(`tile/${params.tile}`)
  if (!bytes) throw new RegistryError("NOT_FOUND", "the log has no such tile")
  if (!params.tile.startsWith("entries/")) return sendBytes(response, bytes, { mediaType: octets, immutable: true })
  response.setHeader("vary", "accept-encoding")
  if (!acceptsGzip(request.headers["accept-encoding"])) {
    return sendBytes(response, bytes, { mediaType: octets, immutable: true })
  }
  response.setHeader("content-encoding", "gzip")
  sendBytes(response, await compress(bytes), { mediaType: octets, immutable: true })
}

/** RFC 9110 §12.5.3, for the one coding we have: named, and not with weight 0. */
export function acceptsGzip(header: string | undefined): boolean {
  if (header === undefined) return false
  const codings = header.split(",").map((each) => each.trim().toLowerCase())
  return codings.some(
    (each) => /^(gzip|x-gzip)$/.test(each) || /^(gzip|x-gzip)\s*;\s*q=(1(\.0*)?|0\.0*[1-9]\d*)$/.test(each),
  )
}
