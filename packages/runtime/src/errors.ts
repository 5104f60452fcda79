/**
 * What can go wrong between verified bytes and an answer. Codes are a closed list (docs/errors.md):
 *
 *     MODEL_REFUSED       the model is signed, and the loader still says no: hazardous, malformed or not supported
 *     DEVICE_UNAVAILABLE  the asked engine or kind of device is not here; nothing else was used in its place
 *     INPUT_INVALID       the caller's tensor has the wrong shape, type or values
 *     OUTPUT_INVALID      the model answered something that is no number, or more than may be sent
 *     TOO_LARGE           the question has more rows or bytes than are answered
 *     DEADLINE_EXCEEDED   the model did not answer in time
 *     ENGINE_STUCK        a native engine does not come back; only the end of the process ends it
 *     UNAVAILABLE         the queue is full, or the model was disposed of or died; worth another try elsewhere
 *     USAGE               an option that means nothing
 */
import { CodedError, type CodedErrorOptions, type CodesOf } from "@weighlock/manifest/base"

export const runtimeErrorCodes = [
  "DEADLINE_EXCEEDED",
  "DEVICE_UNAVAILABLE",
  "ENGINE_STUCK",
  "INPUT_INVALID",
  "MODEL_REFUSED",
  "OUTPUT_INVALID",
  "TOO_LARGE",
  "UNAVAILABLE",
  "USAGE",
] as const

export type RuntimeErrorCode = CodesOf<typeof runtimeErrorCodes>

export class RuntimeError extends CodedError<RuntimeErrorCode> {
  override readonly name = "RuntimeError"
}

export function refused(message: string, options?: CodedErrorOptions): RuntimeError {
  return new RuntimeError("MODEL_REFUSED", message, options)
}

/** `otherwise` and `message` stand for what is no error of ours; what a library said is the cause, never part of the message. */
export function asRuntimeError(error: unknown, otherwise: RuntimeErrorCode, message: string): RuntimeError {
  return error instanceof RuntimeError ? error : new RuntimeError(otherwise, message, { cause: error })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
