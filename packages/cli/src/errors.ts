/** The command line's own codes; how each code of any package ends it stands in the one table of @weighlock/manifest. */
import { CodedError, type CodesOf, errorRow, errorTable } from "@weighlock/manifest"

export const cliErrorCodes = ["CONFLICT", "INTERRUPTED", "NOT_FOUND", "STATE_UNUSABLE", "UNAVAILABLE", "USAGE"] as const
export type CliErrorCode = CodesOf<typeof cliErrorCodes>

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

/** What is no code of ours is a bug of ours. */
export function exitCodeOf(code: string): number {
  return errorRow(code)?.exit ?? errorTable.INTERNAL.exit
}
