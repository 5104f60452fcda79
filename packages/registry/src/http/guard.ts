/**
 * Looks at the raw request before anything parses it: an odd spelling is refused, not repaired.
 *
 *     /api/v1/models/acme/mnist            fine
 *     /api/v1//models  /api/v1/../models  /api/v1/models/acme%2Fmnist  http://elsewhere/api        USAGE
 */
import type { IncomingMessage } from "node:http"

import { isLoopbackAuthority } from "@weighlock/node"

import { RegistryError } from "../errors.ts"

const maxUrl = 2048
const maxHeaders = 64
const path = /^\/[A-Za-z0-9._/-]*$/
const query = /^[A-Za-z0-9._/=&+%-]*$/

export interface GuardOptions {
  /** Without tokens only this machine is served: a Host that is not loopback is DNS rebinding. */
  readonly loopbackOnly: boolean
}

/** Throws USAGE, MISDIRECTED, FORBIDDEN. */
export function guard(request: IncomingMessage, { loopbackOnly }: GuardOptions): void {
  requireHeaders(request)
  requirePlainUrl(request.url ?? "")
  if (loopbackOnly && !isLoopbackAuthority(request.headers.host ?? "")) {
    throw new RegistryError("MISDIRECTED", "without tokens this registry serves loopback only", {
      hint: "ask for localhost or 127.0.0.1, or start the registry with --tokens",
    })
  }
  const isRead = request.method === "GET" || request.method === "HEAD"
  if (!isRead && request.headers.origin !== undefined) {
    throw new RegistryError("FORBIDDEN", "a web page may not write to this registry")
  }
}

/** Of which a second line would be read by one party and not by another. */
const once = new Set(["host", "authorization", "content-length", "content-type", "range", "weighlock-grant", "origin"])

function requireHeaders({ rawHeaders, headers }: IncomingMessage): void {
  if (rawHeaders.length / 2 > maxHeaders) throw new RegistryError("USAGE", `more than ${maxHeaders} header lines`)
  const seen = new Set<string>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? "").toLowerCase()
    if (!once.has(name)) continue
    if (seen.has(name)) throw new RegistryError("USAGE", `more than one ${name} header`)
    seen.add(name)
  }
  if ((headers["content-encoding"] ?? "identity") !== "identity") {
    throw new RegistryError("MEDIA_TYPE_UNSUPPORTED", "bodies are taken as they are, without content-encoding")
  }
}

function requirePlainUrl(url: string): void {
  const [before = "", after = "", ...more] = url.split("?")
  const odd = url.length > maxUrl || more.length > 0 || !path.test(before) || !query.test(after)
  if (odd || before.includes("//") || before.split("/").some((segment) => segment === "." || segment === "..")) {
    // A tile's path has slashes of its own, which generated clients encode.
    const code = before.startsWith("/log/tile/") ? "NOT_FOUND" : "USAGE"
    throw new RegistryError(code, "this URL is not spelled as this API spells its URLs")
  }
}
