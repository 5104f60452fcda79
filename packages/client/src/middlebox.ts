/**
 * What stands between a client and its registry shows in answers that no registry gives: a web page of a proxy, a login or a
 * gateway, or a body that was compressed on the way although this client takes none that is.
 */
import type { IncomingHttpHeaders } from "node:http"
import { ClientError } from "./errors.ts"

interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
}

/** By its type, or by how it begins, where a server names none. */
export function isWebPage({ headers, body }: Received): boolean {
  const type = headers["content-type"] ?? ""
  return /^(?:text\/html|application\/xhtml\+xml)\b/i.test(type) || /^\s*<(?:!doctype\s+)?html\b/i.test(beginning(body))
}

function beginning(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, 256)).toString("latin1")
}

export const webPageHint = "a proxy, a login page or another server may stand there: is this the registry's URL?"

/** Throws PROTOCOL. `mayBeEncoded`: whoever asked decodes what comes. */
export function requireUntouched(received: Received, what: string, mayBeEncoded: boolean): void {
  if (isWebPage(received))
    throw new ClientError("PROTOCOL", `${what}: a web page is the answer, and no registry gives one`, {
      hint: webPageHint,
    })
  const encoding = received.headers["content-encoding"]
  if (mayBeEncoded || encoding === undefined || encoding === "identity") return
  const shown = /^[\w-]{1,16}$/.test(encoding) ? ` (${encoding})` : ""
  throw new ClientError("PROTOCOL", `${what}: the answer is compressed${shown}, which was not asked for`, {
    hint: "a proxy or gateway on the way changes what the registry answers: have it pass that on as it is",
  })
}
