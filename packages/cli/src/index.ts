export { type CliErrorCode, cliErrorCodes, type ErrorCode, exitCodes } from "./errors.ts"
export type { Io, Sink } from "./io.ts"
export { run } from "./run.ts"
export { version } from "./version.ts"
