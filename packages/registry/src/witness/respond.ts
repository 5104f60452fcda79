/**
 * The HTTP of a witness (c2sp.org/tlog-witness): two routes, and one for whoever keeps it running.
 *
 *     POST /add-checkpoint                    200 signature lines · 400 403 404 409 422
 *     GET  /<SHA-256 of origin>/checkpoint    200 the newest cosigned checkpoint · 404
 *     GET  /healthz                           200
 */
import type { IncomingMessage, ServerResponse } from "node:http"

import { errorTable } from "@weighlock/manifest"
import { decodeUtf8, witnessLimits } from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import { readBody } from "../http/body.ts"
import { Refusal } from "./judge.ts"
import type { Witness } from "./witness.ts"

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

const text = "text/plain; charset=utf-8"

/** Throws a Refusal, or a fault. */
export async function answer(exchange: Exchange, witness: Witness): Promise<Answer> {
  const { method, url = "" } = exchange.request
  if (url === "/add-checkpoint") {
    requireMethod(method, ["POST"])
    return { status: 200, type: text, body: await witness.addCheckpoint(await bodyOf(exchange)) }
  }
  const [, hash] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(url) ?? []
  if (hash === undefined && url !== "/healthz") throw new Refusal(404, "no such address\n")
  requireMethod(method, ["GET", "HEAD"])
  const body = hash === undefined ? "ok\n" : witness.checkpoint(hash)
  if (body === null) throw new Refusal(404, "nothing of that log was cosigned here\n")
  return { status: 200, type: text, body }
}

export function send({ request, response }: Exchange, { status, type, body }: Answer): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    ...(status === 405 ? { allow: request.url === "/add-checkpoint" ? "POST" : "GET, HEAD" } : {}),
    ...(status === 503 ? { "retry-after": "1" } : {}),
    // What was not read of a body is in the way of the next request.
    ...(request.complete ? {} : { connection: "close" }),
  })
  response.end(request.method === "HEAD" ? undefined : body)
}

function requireMethod(method: string | undefined, allowed: readonly string[]): void {
  if (!allowed.includes(method ?? "")) throw new Refusal(405, `${allowed.join(" or ")} only\n`)
}

async function bodyOf(exchange: Exchange): Promise<string> {
  if (exchange.request.headers["content-encoding"] !== undefined) throw new Refusal(415, "send the body as it is\n")
  const body = decodeUtf8(await readWhole(exchange))
  if (body === null) throw new Refusal(400, "the request is not UTF-8\n")
  return body
}

async function readWhole(exchange: Exchange): Promise<Uint8Array> {
  try {
    return await readBody(exchange, witnessLimits.bytes)
  } catch (error) {
    if (error instanceof RegistryError) throw new Refusal(errorTable[error.code].http, `${error.message}\n`)
    throw new Refusal(400, "the request was cut short\n")
  }
}
