/** An answer other than 200, in TF Serving's form: `{"error":"model mnist is not served here"}`. */
import { errorRow } from "@weighlock/manifest"
import { RuntimeError, type RuntimeErrorCode } from "../errors.ts"

export class Refusal extends Error {
  override readonly name = "Refusal"
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

export function notFound(message: string): Refusal {
  return new Refusal(404, message)
}

export function badRequest(message: string): Refusal {
  return new Refusal(400, message)
}

export function busy(message: string): Refusal {
  return new Refusal(503, message, { "retry-after": "1" })
}

/** About the caller's question; the others are about the model, the machine or its settings. */
const shown: ReadonlySet<RuntimeErrorCode> = new Set([
  "DEADLINE_EXCEEDED",
  "INPUT_INVALID",
  "OUTPUT_INVALID",
  "TOO_LARGE",
])

/** What a caller may know of an error; `null` for a bug of ours, which is not theirs to read. */
export function refusalFor(error: unknown): Refusal | null {
  if (error instanceof Refusal) return error
  if (!(error instanceof RuntimeError)) return null
  if (error.code === "UNAVAILABLE" || error.code === "ENGINE_STUCK") return busy(error.message)
  return shown.has(error.code) ? new Refusal(errorRow(error.code)?.http ?? 500, error.message) : null
}
