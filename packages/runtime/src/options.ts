/** Numbers that callers set. */
import { RuntimeError } from "./errors.ts"

/** Milliseconds; Node takes a longer one for 1. */
export const longestTimer: number = 2 ** 31 - 1

/** Milliseconds a question may take. */
export const defaultPredictTimeout = 30_000

/** Throws USAGE. */
export function requireCount(name: string, value: number, most: number): void {
  if (Number.isSafeInteger(value) && value > 0 && value <= most) return
  throw new RuntimeError("USAGE", `${name} is ${value}, not a whole number from 1 to ${most}`)
}

/** Rows a question may have. */
export const defaultMaxRows = 16_384
/** Bytes of JSON an answer may have. */
export const defaultMaxAnswer: number = 64 * 2 ** 20
