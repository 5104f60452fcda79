/** Errors after which memory is full, or in an unknown state. */
import { EngineLost, EngineUnfit } from "./engine.ts"

/** Part of every Node, but declared only in the DOM's types. */
declare const WebAssembly: { readonly RuntimeError: new () => Error }

/** While a model is loaded: after an abort inside WebAssembly its memory is as unknown as after a full one. */
export function isAboutMemory(error: unknown): boolean {
  return error instanceof RangeError || error instanceof WebAssembly.RuntimeError
}

/** While it answers: the thread has to end. */
export function isLost(error: unknown): boolean {
  return error instanceof EngineLost || error instanceof EngineUnfit || error instanceof WebAssembly.RuntimeError
}

/** This question was too large. */
export function isOutOfMemory(error: unknown): boolean {
  const noRoom = error instanceof RangeError && /allocation failed|Invalid (typed )?array length/i.test(error.message)
  return noRoom || isLost(error)
}
