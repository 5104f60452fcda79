/** What can go wrong between a client, its registry, its stores and its own disk. */
import {
  type ClaimableCode,
  CodedError,
  type CodedErrorOptions,
  type CodesOf,
  type ManifestErrorCode,
} from "@weighlock/manifest/base"

export const clientErrorCodes = [
  "BLOBS_MISSING",
  "CACHE_UNUSABLE",
  "CONFLICT",
  "FORBIDDEN",
  "NOT_FOUND",
  "NO_SPACE",
  "PROTOCOL",
  "STATE_DAMAGED",
  "STATE_UNUSABLE",
  "STORE_REFUSED",
  "TARGET_EXISTS",
  "TARGET_UNUSABLE",
  "TOO_LARGE",
  "TRUST_UNREADABLE",
  "UNAUTHENTICATED",
  "UNAVAILABLE",
  "USAGE",
  "WITHHELD",
] as const

/** Also what the rules of the format refuse, and what a registry may answer. */
export type ClientErrorCode = CodesOf<typeof clientErrorCodes> | ManifestErrorCode | ClaimableCode

export class ClientError extends CodedError<ClientErrorCode> {
  override readonly name = "ClientError"
}

/** UNAVAILABLE because nobody answered, or a gateway for somebody who did not: that says nothing about what was asked for. */
export class Unreachable extends ClientError {
  constructor(message: string, options: CodedErrorOptions = {}) {
    super("UNAVAILABLE", message, options)
  }
}

/** Also of what is no error: somebody who stops a request may give any reason. */
export function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown } | null | undefined)?.code
}

/** A failed file operation: NO_SPACE when the disk is full, else `code`. Errors that have a code of ours pass. */
export function diskError(error: unknown, code: "CACHE_UNUSABLE" | "TARGET_UNUSABLE", path: string): Error {
  if (!(error instanceof Error) || error instanceof CodedError) return error as Error
  const { syscall, code: errno } = error as NodeJS.ErrnoException
  if (syscall === undefined) return error
  const isFull = errno === "ENOSPC" || errno === "EDQUOT"
  const isMount = errno === "EBUSY" || errno === "EXDEV"
  return new ClientError(isFull ? "NO_SPACE" : code, `cannot write ${path}: ${isMount ? error.message : errno}`, {
    cause: error,
  })
}

export function unavailable(message: string, options: CodedErrorOptions = {}): ClientError {
  return new ClientError("UNAVAILABLE", message, options)
}
