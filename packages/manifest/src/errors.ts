/**
 * An error has a class for who must act and a code for what happened. Codes are a closed list: what each means for an exit
 * code and an HTTP status stands in error-table.ts, and for a reader in docs/errors.md.
 */
import type { CodesOf } from "./error-table.ts"

export const manifestErrorCodes = [
  "DIGEST_MISMATCH",
  "FILE_CHANGED",
  "FILE_UNREADABLE",
  "KEY_FILE_INVALID",
  "KEY_WEAK",
  "LOG_INVALID",
  "MANIFEST_INVALID",
  "NEEDS_LOG",
  "NOT_YET_WITNESSED",
  "ROLLBACK",
  "RULE_BROKEN",
  "SECRET_FOUND",
  "SIGNATURE_INVALID",
  "SIGNER_UNTRUSTED",
  "STALE",
  "SUBJECT_MISMATCH",
  "TOO_LARGE",
  "TRUST_EXPIRED",
  "TRUST_PIN_MISMATCH",
  "UNSIGNED",
  "USAGE",
  "VERSION_EXISTS",
] as const

export type ManifestErrorCode = CodesOf<typeof manifestErrorCodes>

export interface CodedErrorOptions extends ErrorOptions {
  /** What to type or do next, one sentence. */
  readonly hint?: string
}

/** The base of every error a user may see: a stable code, what and why in the message, what to do in the hint. */
export class CodedError<Code extends string = string> extends Error {
  readonly code: Code
  readonly hint: string | undefined
  constructor(code: Code, message: string, options: CodedErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.hint = options.hint
  }
}

export class ManifestError extends CodedError<ManifestErrorCode> {
  override readonly name = "ManifestError"
}

/** A message quotes what it refuses, and that may be megabytes of somebody else's. */
const longestMessage = 1200

export function invalid(message: string, hint?: string): ManifestError {
  const text = message.length > longestMessage ? `${message.slice(0, longestMessage).toWellFormed()}…` : message
  return new ManifestError("MANIFEST_INVALID", text, hint === undefined ? {} : { hint })
}

/** `what` begins the sentence; `cap` in the same unit. */
export function tooLarge(what: string, cap: number): ManifestError {
  return new ManifestError("TOO_LARGE", `${what}, more than the ${cap} allowed`)
}
