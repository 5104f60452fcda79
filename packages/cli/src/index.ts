export { type CliErrorCode, cliErrorCodes, exitCodeOf } from "./errors.ts"
export type { Io, Sink } from "./io.ts"
export { run } from "./run.ts"
export { version } from "./version.ts"
