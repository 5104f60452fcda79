/**
 * Everything this package refuses, it refuses with one of these codes; the list is closed.
 *
 * | code                | what happened                                                                     |
 * | ------------------- | --------------------------------------------------------------------------------- |
 * | `MALFORMED`         | bytes or text that are not the one spelling of anything the format knows          |
 * | `UNSUPPORTED`       | well-formed, but beyond what this implementation handles (a size above 2^53 - 1)  |
 * | `SIGNATURE_INVALID` | no valid signature of the log, or a known key's signature that does not verify    |
 * | `PROOF_INVALID`     | a Merkle proof that does not lead from the leaf to the root                       |
 * | `INCONSISTENT`      | two states of one log of which the later does not contain the earlier: a fork     |
 * | `SHRUNK`            | a log that shows a smaller size than it showed before                             |
 * | `QUORUM_MISSING`    | fewer witnesses have cosigned than the policy asks for                            |
 */
export const tlogErrorCodes = [
  "MALFORMED",
  "UNSUPPORTED",
  "SIGNATURE_INVALID",
  "PROOF_INVALID",
  "INCONSISTENT",
  "SHRUNK",
  "QUORUM_MISSING",
] as const

export type TlogErrorCode = (typeof tlogErrorCodes)[number]

export class TlogError extends Error {
  override readonly name: string = "TlogError"
  readonly code: TlogErrorCode
  constructor(code: TlogErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export function malformed(message: string, options?: ErrorOptions): TlogError {
  return new TlogError("MALFORMED", message, options)
}

/** Sizes and indexes are exact integers: `MALFORMED` for what is none, `UNSUPPORTED` beyond 2^53 - 1. */
export function requireCount(value: number, what: string): void {
  if (Number.isSafeInteger(value) && value >= 0) return
  if (value > Number.MAX_SAFE_INTEGER) throw new TlogError("UNSUPPORTED", `${what} above 2^53 - 1: ${value}`)
  throw malformed(`${what} is not a count: ${value}`)
}
