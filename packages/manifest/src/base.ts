/**
 * Errors, encodings, limits and JSON, without keys, signatures and the log: for worker threads. Each thread loads its modules
 * anew, and the whole package takes 60 ms of processor time.
 */
export * from "./encoding.ts"
export * from "./error-table.ts"
export * from "./errors.ts"
export * from "./json.ts"
export * from "./limits.ts"
