/**
 * Every error code there is: the exit code of the command line, the HTTP status, and whether a client believes a registry
 * that claims it. docs/errors.md says the same of each; test/docs/errors.test.ts and test/client/claims.test.ts hold them.
 *
 *     NOT_FOUND  exit 3, HTTP 404, claimable   a registry answers 404 with it, and its client raises NOT_FOUND
 *     INTERNAL   exit 1, HTTP 500              a registry answers 500 with it, and its client raises UNAVAILABLE
 *     ROLLBACK   exit 16                       it is no answer: a client concludes it from what it has verified
 *
 * Claimable is what a registry decides about a request. That gives it no power: by serving other bytes it can have a client
 * conclude DIGEST_MISMATCH or SIGNATURE_INVALID as well. Never claimable is what accuses somebody and stands on evidence
 * (LOG_INVALID, ROLLBACK, WITHHELD), and what speaks of the program, the disk or the keys of whoever reads it.
 */
export interface ErrorRow {
  /** How the command line ends. */
  readonly exit: number
  /** How a registry or `weighlock serve` answers; `null` where neither does. */
  readonly http: number | null
  /** Whether a client raises this code because a registry answered with it. */
  readonly claimable: boolean
}

/** Sorted by exit code, then by name, as docs/errors.md is. */
export const errorTable = {
  ENGINE_STUCK: { exit: 1, http: null, claimable: false },
  INTERNAL: { exit: 1, http: 500, claimable: false },
  DEVICE_UNAVAILABLE: { exit: 2, http: null, claimable: false },
  INPUT_INVALID: { exit: 2, http: 400, claimable: false }, // of `weighlock serve`
  MEDIA_TYPE_UNSUPPORTED: { exit: 2, http: 415, claimable: true },
  METHOD_NOT_ALLOWED: { exit: 2, http: 405, claimable: true },
  MISDIRECTED: { exit: 2, http: 421, claimable: true },
  NEEDS_LOG: { exit: 2, http: null, claimable: false },
  RANGE_NOT_SATISFIABLE: { exit: 2, http: 416, claimable: true },
  TOO_LARGE: { exit: 2, http: 413, claimable: true },
  TRUST_UNREADABLE: { exit: 2, http: null, claimable: false },
  USAGE: { exit: 2, http: 400, claimable: true },
  NOT_FOUND: { exit: 3, http: 404, claimable: true },
  FORBIDDEN: { exit: 4, http: 403, claimable: true },
  UNAUTHENTICATED: { exit: 4, http: 401, claimable: true },
  CONFLICT: { exit: 5, http: 409, claimable: true },
  TARGET_EXISTS: { exit: 5, http: null, claimable: false },
  VERSION_EXISTS: { exit: 5, http: 409, claimable: true },
  BLOBS_MISSING: { exit: 6, http: 422, claimable: true },
  DEADLINE_EXCEEDED: { exit: 6, http: 504, claimable: false }, // of `weighlock serve`
  NOT_YET_WITNESSED: { exit: 6, http: null, claimable: false },
  PROTOCOL: { exit: 6, http: null, claimable: false },
  UNAVAILABLE: { exit: 6, http: 503, claimable: true },
  RULE_BROKEN: { exit: 7, http: null, claimable: false },
  SECRET_FOUND: { exit: 7, http: null, claimable: false },
  STORE_REFUSED: { exit: 7, http: null, claimable: false },
  CACHE_UNUSABLE: { exit: 8, http: null, claimable: false },
  FILE_CHANGED: { exit: 8, http: null, claimable: false },
  FILE_UNREADABLE: { exit: 8, http: null, claimable: false },
  KEY_FILE_INVALID: { exit: 8, http: null, claimable: false },
  NO_SPACE: { exit: 8, http: null, claimable: false },
  STATE_DAMAGED: { exit: 8, http: null, claimable: false },
  STATE_UNUSABLE: { exit: 8, http: null, claimable: false },
  STORE_FAILED: { exit: 8, http: 503, claimable: false },
  TARGET_UNUSABLE: { exit: 8, http: null, claimable: false },
  UNSIGNED: { exit: 10, http: 422, claimable: true },
  KEY_WEAK: { exit: 11, http: 400, claimable: true },
  MANIFEST_INVALID: { exit: 11, http: 400, claimable: true },
  SIGNATURE_INVALID: { exit: 12, http: 422, claimable: true },
  SIGNER_UNTRUSTED: { exit: 12, http: 403, claimable: true },
  SUBJECT_MISMATCH: { exit: 12, http: 422, claimable: true },
  TRUST_PIN_MISMATCH: { exit: 12, http: null, claimable: false },
  DIGEST_MISMATCH: { exit: 13, http: 422, claimable: true },
  LOG_INVALID: { exit: 14, http: null, claimable: false },
  WITHHELD: { exit: 14, http: null, claimable: false },
  ROLLBACK: { exit: 16, http: null, claimable: false },
  STALE: { exit: 16, http: null, claimable: false },
  TRUST_EXPIRED: { exit: 16, http: 403, claimable: true },
  MODEL_REFUSED: { exit: 17, http: null, claimable: false },
  OUTPUT_INVALID: { exit: 17, http: 422, claimable: false }, // of `weighlock serve`
  INTERRUPTED: { exit: 130, http: null, claimable: false },
} as const

export type ErrorCode = keyof typeof errorTable

/** The codes that are an answer to a request, and those that a client believes. */
export type AnsweredCode = CodeWhere<{ readonly http: number }>
export type ClaimableCode = CodeWhere<{ readonly claimable: true }>
/** The codes of a package's list. A list with a code that the table, or that part of it, does not have does not compile. */
export type CodesOf<List extends readonly Of[], Of extends ErrorCode = ErrorCode> = List[number]

type CodeWhere<Row> = { [Code in ErrorCode]: (typeof errorTable)[Code] extends Row ? Code : never }[ErrorCode]

const rows: Readonly<Record<ErrorCode, ErrorRow>> = errorTable

/** `null` for what is no code of ours, whoever says it. */
export function errorRow(code: string): ErrorRow | null {
  return isErrorCode(code) ? rows[code] : null
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code)
}

/** What is to be believed of an answer with this status that claims `code`: only what the table has with that very status. */
export function isClaimable(code: unknown, status: number): code is ClaimableCode {
  const row = typeof code === "string" ? errorRow(code) : null
  return row?.claimable === true && row.http === status
}
