/** Bodies, taken whole and with a limit. Never decompressed, never parsed leniently. */
import type { IncomingMessage, ServerResponse } from "node:http"

import { ManifestError, parseJson } from "@weighlock/manifest"
import type { z } from "zod"

import { RegistryError } from "../errors.ts"

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

const maxHeld = 256 * 1024 * 1024
let held = 0

/**
 * At most `limit` bytes; TOO_LARGE otherwise, by the announced length already. All bodies in memory together have a limit as
 * well (UNAVAILABLE); a body counts from its first byte until it is answered.
 */
export async function readBody({ request, response }: Exchange, limit: number): Promise<Uint8Array> {
  const tooLarge = (): RegistryError => new RegistryError("TOO_LARGE", `the body is larger than ${limit} bytes`)
  if (Number(request.headers["content-length"] ?? 0) > limit) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  response.once("close", () => (held -= size))
  await collect(request, (chunk) => {
    size += chunk.length
    held += chunk.length
    if (size > limit) throw tooLarge()
    if (held > maxHeld) throw new RegistryError("UNAVAILABLE", "too many large bodies at once")
    chunks.push(chunk)
  })
  const [only] = chunks
  return chunks.length === 1 && only ? only : Buffer.concat(chunks, size)
}

/** By events: an iterator costs as much as all the rest of a small request. What `take` throws ends it, and the body flows on unread. */
function collect(request: IncomingMessage, take: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      request.off("data", onData).off("end", onEnd).off("error", onError).off("close", onClose)
      settle()
    }
    const onError = (error: unknown): void => end(() => reject(error))
    const onEnd = (): void => end(resolve)
    const onClose = (): void => onError(new Error("the client went away"))
    const onData = (chunk: Buffer): void => {
      try {
        take(chunk)
      } catch (error) {
        onError(error)
      }
    }
    if (request.destroyed) return onClose()
    request.on("data", onData).on("end", onEnd).on("error", onError).on("close", onClose)
  })
}

/** MEDIA_TYPE_UNSUPPORTED unless the body says it is JSON: a web form can't say so without asking first. */
export function requireJson(request: IncomingMessage): void {
  const type = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase()
  if (type !== "application/json") throw new RegistryError("MEDIA_TYPE_UNSUPPORTED", "send application/json")
}

export async function readJson<T>(exchange: Exchange, schema: z.ZodType<T>, limit: number): Promise<T> {
  requireJson(exchange.request)
  return validate(schema, parseJson(await readBody(exchange, limit)))
}

/** Throws `code`, naming the first member that is wrong. */
export function validate<T>(
  schema: z.ZodType<T>,
  value: unknown,
  code: "USAGE" | "NOT_FOUND" | "MANIFEST_INVALID" = "USAGE",
): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue?.path.length ? issue.path.join(".") : "the request"
  const message = `${where}: ${issue?.message ?? "not as the API describes it"}`
  throw code === "MANIFEST_INVALID" ? new ManifestError(code, message) : new RegistryError(code, message)
}
