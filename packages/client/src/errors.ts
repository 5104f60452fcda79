/** What can go wrong between a client, its registry, its stores and its own disk. */
import { CodedError, type CodedErrorOptions, type ManifestErrorCode, manifestErrorCodes } from "@weighlock/manifest"

export const clientErrorCodes = [
  "BLOBS_MISSING",
  "CACHE_UNUSABLE",
  "CONFLICT",
  "FORBIDDEN",
  "NOT_FOUND",
  "NO_SPACE",
  "PROTOCOL",
  "STORE_REFUSED",
  "TARGET_EXISTS",
  "TARGET_UNUSABLE",
  "TOO_LARGE",
  "TRUST_UNREADABLE",
  "UNAUTHENTICATED",
  "UNAVAILABLE",
  "USAGE",
] as const

/** A registry may also answer with the code of a rule it shares with us. */
export type ClientErrorCode = (typeof clientErrorCodes)[number] | ManifestErrorCode

export class ClientError extends CodedError<ClientErrorCode> {
  override readonly name = "ClientError"
}

const known: ReadonlySet<string> = new Set([...clientErrorCodes, ...manifestErrorCodes])
const byStatus: Readonly<Record<number, ClientErrorCode>> = {
  401: "UNAUTHENTICATED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  409: "CONFLICT",
  413: "TOO_LARGE",
  429: "UNAVAILABLE",
}

/** The code that a problem document claims, if it is one of ours; else what the status means. */
export function codeOf(status: number, claimed: unknown): ClientErrorCode {
  if (typeof claimed === "string" && known.has(claimed)) return claimed as ClientErrorCode
  return byStatus[status] ?? (status >= 500 ? "UNAVAILABLE" : "PROTOCOL")
}

/** A failed file operation: NO_SPACE when the disk is full, else `code`. Errors that have a code of ours pass. */
export function diskError(error: unknown, code: "CACHE_UNUSABLE" | "TARGET_UNUSABLE", path: string): Error {
  const { syscall, code: errno } = error as NodeJS.ErrnoException
  if (!(error instanceof Error) || error instanceof CodedError || syscall === undefined) return error as Error
  const isFull = errno === "ENOSPC" || errno === "EDQUOT"
  return new ClientError(isFull ? "NO_SPACE" : code, `cannot write ${path}: ${errno}`, { cause: error })
}

export function unavailable(message: string, options: CodedErrorOptions = {}): ClientError {
  return new ClientError("UNAVAILABLE", message, options)
}
