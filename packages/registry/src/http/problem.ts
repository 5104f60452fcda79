/**
 * Errors as `application/problem+json` (RFC 9457).
 *
 *     { "type": "urn:weighlock:error:NOT_FOUND", "title": "Not found", "status": 404,
 *       "detail": "acme/mnist@9.9.9 was never published", "code": "NOT_FOUND" }
 *
 * An error without a code of ours, or with one that is no answer, is a bug: it is logged, and the client learns only that.
 */
import type { IncomingMessage, ServerResponse } from "node:http"

import { CodedError } from "@weighlock/manifest"

import { RegistryError, statusOf } from "../errors.ts"

/** Of a body that was refused unread, so much is still taken, so that the client gets to read why. */
const drainBytes = 32 * 1024 * 1024

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly hint?: string
}

export function problemOf(error: unknown): Problem {
  const coded = error instanceof CodedError ? (error as CodedError) : null
  const status = coded && statusOf(coded.code)
  if (coded === null || status === null)
    return problem("INTERNAL", 500, "this is a bug of the registry; its log says more")
  const details = coded instanceof RegistryError ? coded.details : {}
  return {
    ...problem(coded.code, status, coded.message),
    ...(coded.hint !== undefined && { hint: coded.hint }),
    ...details,
  }
}

function problem(code: string, status: number, detail: string): Problem {
  const title = code.charAt(0) + code.slice(1).toLowerCase().replaceAll("_", " ")
  return { type: `urn:weighlock:error:${code}`, title, status, detail, code }
}

export function sendProblem(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy() // mid-body there is no honest answer left: a cut connection is one
    return
  }
  const found = problemOf(error)
  const body = Buffer.from(JSON.stringify(found))
  for (const name of response.getHeaderNames()) if (!keptHeaders.has(name)) response.removeHeader(name)
  response.setHeader("cache-control", "no-store") // what is not there yet may be there in a moment
  if (found.status === 503) response.setHeader("retry-after", "1")
  if (found.status === 401) response.setHeader("www-authenticate", "Bearer")
  response.writeHead(found.status, { "content-type": "application/problem+json", "content-length": body.length })
  response.end(request.method === "HEAD" ? undefined : body)
  drain(request)
}

const keptHeaders = new Set([
  "access-control-allow-origin",
  "allow",
  "connection",
  "content-range",
  "x-content-type-options",
])

function drain(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return
  let seen = 0
  request.on("error", () => undefined)
  request.on("data", (chunk: Buffer) => {
    seen += chunk.length
    if (seen > drainBytes) request.destroy()
  })
}
