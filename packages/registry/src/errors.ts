/**
 * What the registry refuses, as a closed list of codes, and the one map from a code to its HTTP status.
 *
 *     { "type": "urn:weighlock:error:BLOBS_MISSING", "title": "Blobs missing", "status": 422, "code": "BLOBS_MISSING",
 *       "detail": "2 of 3 blobs were never uploaded", "missing": ["5891b5b5…", "b6d81b36…"] }
 */
import { CodedError, type ManifestErrorCode } from "@weighlock/manifest"

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
export type RegistryErrorCode = (typeof registryErrorCodes)[number]

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

/** Contract §7, column "codes (HTTP)". A code without a status does not compile. */
export const httpStatus: Readonly<Record<RegistryErrorCode | ManifestErrorCode, number>> = {
  USAGE: 400,
  MANIFEST_INVALID: 400,
  KEY_WEAK: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  SIGNER_UNTRUSTED: 403,
  TRUST_EXPIRED: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  CONFLICT: 409,
  VERSION_EXISTS: 409,
  TOO_LARGE: 413,
  MEDIA_TYPE_UNSUPPORTED: 415,
  RANGE_NOT_SATISFIABLE: 416,
  MISDIRECTED: 421,
  UNSIGNED: 422,
  SIGNATURE_INVALID: 422,
  SUBJECT_MISMATCH: 422,
  DIGEST_MISMATCH: 422,
  LOG_INVALID: 422,
  NEEDS_LOG: 422,
  RULE_BROKEN: 422,
  STALE: 422,
  ROLLBACK: 422,
  BLOBS_MISSING: 422,
  TRUST_PIN_MISMATCH: 422,
  FILE_CHANGED: 503, // the last three are about our own disk, never about a request
  FILE_UNREADABLE: 503,
  KEY_FILE_INVALID: 503,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  NOT_YET_WITNESSED: 503,
  STORE_FAILED: 503,
}
