/** The CLI's own codes, and the exit code of every code there is (docs/errors.md; the lists are tested against each other). */
import { CodedError, type ManifestErrorCode } from "@weighlock/manifest"
import type { ClientErrorCode } from "@weighlock/client"
import type { RegistryErrorCode } from "@weighlock/registry"
import type { RuntimeErrorCode } from "@weighlock/runtime"

export const cliErrorCodes = ["CONFLICT", "INTERRUPTED", "NOT_FOUND", "STATE_UNUSABLE", "UNAVAILABLE", "USAGE"] as const
export type CliErrorCode = (typeof cliErrorCodes)[number]

export class CliError extends CodedError<CliErrorCode> {
  override readonly name = "CliError"
}

export function usage(message: string, hint?: string): CliError {
  return new CliError("USAGE", message, hint === undefined ? {} : { hint })
}

/** A command that has printed its result, and whose exit code says more. */
export class Finished extends Error {
  readonly exitCode: number
  constructor(exitCode: number) {
    super("finished")
    this.exitCode = exitCode
  }
}

export type ErrorCode = ManifestErrorCode | ClientErrorCode | RegistryErrorCode | RuntimeErrorCode | CliErrorCode

/** A code without an exit code does not compile. */
export const exitCodes: Readonly<Record<ErrorCode, number>> = {
  INTERNAL: 1,
  DEVICE_UNAVAILABLE: 2,
  INPUT_INVALID: 2,
  MEDIA_TYPE_UNSUPPORTED: 2,
  METHOD_NOT_ALLOWED: 2,
  MISDIRECTED: 2,
  NEEDS_LOG: 2,
  RANGE_NOT_SATISFIABLE: 2,
  TOO_LARGE: 2,
  TRUST_UNREADABLE: 2,
  USAGE: 2,
  NOT_FOUND: 3,
  FORBIDDEN: 4,
  UNAUTHENTICATED: 4,
  CONFLICT: 5,
  TARGET_EXISTS: 5,
  VERSION_EXISTS: 5,
  BLOBS_MISSING: 6,
  NOT_YET_WITNESSED: 6,
  PROTOCOL: 6,
  UNAVAILABLE: 6,
  RULE_BROKEN: 7,
  STORE_REFUSED: 7,
  CACHE_UNUSABLE: 8,
  FILE_CHANGED: 8,
  FILE_UNREADABLE: 8,
  KEY_FILE_INVALID: 8,
  NO_SPACE: 8,
  STATE_DAMAGED: 8,
  STATE_UNUSABLE: 8,
  STORE_FAILED: 8,
  TARGET_UNUSABLE: 8,
  UNSIGNED: 10,
  KEY_WEAK: 11,
  MANIFEST_INVALID: 11,
  SIGNATURE_INVALID: 12,
  SIGNER_UNTRUSTED: 12,
  SUBJECT_MISMATCH: 12,
  TRUST_PIN_MISMATCH: 12,
  DIGEST_MISMATCH: 13,
  LOG_INVALID: 14,
  WITHHELD: 14,
  ROLLBACK: 16,
  STALE: 16,
  TRUST_EXPIRED: 16,
  MODEL_REFUSED: 17,
  OUTPUT_INVALID: 17,
  INTERRUPTED: 130,
}

export function exitCodeOf(code: string): number {
  return Object.hasOwn(exitCodes, code) ? exitCodes[code as ErrorCode] : 1
}
