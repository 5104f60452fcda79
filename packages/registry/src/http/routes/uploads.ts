/** Uploads: ask what is missing, PUT parts with grants, complete. */
import { ManifestError, limits, parseParts } from "@weighlock/manifest"

import { RegistryError } from "../../errors.ts"
import { grantHeader } from "../../grants.ts"
import type { Upload } from "../../store/blobs.ts"
import type { FolderBlobStore } from "../../store/blobs-fs.ts"
import type { Uploads } from "../../uploads.ts"
import { readBody, readJson } from "../body.ts"
import { sendJson } from "../respond.ts"
import { type Route, route } from "../route.ts"
import {
  type UploadsRequest,
  completeAnswer,
  digestParams,
  partParams,
  uploadsAnswer,
  uploadsRequest,
} from "../schemas.ts"

export function uploadRoutes(uploads: Uploads): readonly Route[] {
  return [
    route({
      method: "post",
      path: "/api/v1/uploads",
      summary: "What of these files is missing, and grants to send it. Asking again returns what is still missing.",
      scope: "publish",
      body: { schema: uploadsRequest, mediaType: "application/json" },
      answers: { 200: { description: "The state of each file.", schema: uploadsAnswer } },
      handle: async ({ request, response }) => {
        const { files } = await readJson({ request, response }, uploadsRequest, limits.envelope)
        sendJson(response, { files: await uploads.ask(requireDistinct(files.map(uploadOf))) })
      },
    }),
    route({
      method: "post",
      path: "/api/v1/uploads/{sha256}/complete",
      summary: "Has the registry hash the whole file. Ask again while it answers 202.",
      scope: "publish",
      params: digestParams,
      answers: {
        200: { description: "The blob is present.", schema: completeAnswer },
        202: { description: "Still being hashed.", schema: completeAnswer },
      },
      handle: async ({ params: { sha256 }, request, response }) => {
        await readBody({ request, response }, 0)
        const state = await uploads.complete(sha256)
        sendJson(response, { sha256, state }, { status: state === "present" ? 200 : 202 })
      },
    }),
  ]
}

/** Where parts come to this registry; a bucket takes its own. */
export function partRoutes(store: Pick<FolderBlobStore, "writePart">, uploads: Uploads): readonly Route[] {
  return [
    route({
      method: "put",
      path: "/api/v1/uploads/{sha256}/parts/{part}",
      summary:
        "One part, exactly the bytes its grant was made for; the same again is fine, also when the file is present.",
      scope: "grant",
      params: partParams,
      body: { mediaType: "application/octet-stream" },
      answers: { 204: { description: "The part is kept, or was, and these are its bytes." } },
      handle: async ({ params, request, response }) => {
        const header = request.headers[grantHeader]
        const grant = typeof header === "string" ? header : undefined
        const part = { grant, sha256: params.sha256, number: Number(params.part) }
        await store.writePart(part, request, (sha256) => uploads.known(sha256))
        response.writeHead(204).end()
      },
    }),
  ]
}

/** CONFLICT when size and parts contradict each other, which no schema can say. */
function uploadOf({ sha256, size, parts }: UploadsRequest["files"][number]): Upload {
  if (size > limits.part !== (parts !== undefined)) {
    throw new RegistryError(
      "CONFLICT",
      `${sha256}: parts are there exactly for files of more than ${limits.part} bytes`,
    )
  }
  try {
    return { sha256, size, ...(parts && { parts: parseParts(parts, size) }) }
  } catch (cause) {
    if (!(cause instanceof ManifestError)) throw cause
    throw new RegistryError("CONFLICT", `${sha256}: ${cause.message}`, { cause })
  }
}

function requireDistinct(files: readonly Upload[]): readonly Upload[] {
  const distinct = new Set(files.map(({ sha256 }) => sha256))
  if (distinct.size !== files.length) throw new RegistryError("CONFLICT", "a digest is listed twice")
  return files
}
