/**
 * What the registry refuses, as a closed list of codes; the one table of all packages has the HTTP status of each.
 *
 *     { "type": "urn:weighlock:error:BLOBS_MISSING", "title": "Blobs missing", "status": 422, "code": "BLOBS_MISSING",
 *       "detail": "2 of 3 blobs were never uploaded", "missing": ["5891b5b5…", "b6d81b36…"] }
 */
import { type AnsweredCode, CodedError, type CodesOf, errorRow } from "@weighlock/manifest/base"

export const registryErrorCodes = [
  "NOT_FOUND",
  "UNAUTHENTICATED",
  "FORBIDDEN",
  "CONFLICT",
  "BLOBS_MISSING",
  "UNAVAILABLE",
  "STORE_FAILED",
  "TOO_LARGE",
  "USAGE",
  "METHOD_NOT_ALLOWED",
  "MEDIA_TYPE_UNSUPPORTED",
  "MISDIRECTED",
  "RANGE_NOT_SATISFIABLE",
  "INTERNAL",
] as const

/** Each is an answer: a code without a status does not compile. */
export type RegistryErrorCode = CodesOf<typeof registryErrorCodes, AnsweredCode>

/** Extra members of the problem document, for programs: never a path, a stack or a secret. */
export type ProblemDetails = Readonly<Record<string, string | number | readonly string[]>>

export class RegistryError extends CodedError<RegistryErrorCode> {
  override readonly name = "RegistryError"
  readonly details: ProblemDetails

  constructor(
    code: RegistryErrorCode,
    message: string,
    options: { hint?: string; cause?: unknown; details?: ProblemDetails } = {},
  ) {
    const { details = {}, ...rest } = options
    super(code, message, rest)
    this.details = details
  }
}

/** How a code is answered (error-table.ts of @weighlock/manifest); `null` for what is no answer to a request. */
export function statusOf(code: string): number | null {
  return errorRow(code)?.http ?? null
}
