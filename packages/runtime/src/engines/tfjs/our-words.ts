/** What the library throws, in our words: which layer, and what to do. Its own words stay in `cause`. */
import { messageOf, refused, RuntimeError } from "../../errors.ts"
import { EngineLost, EngineUnfit, EngineWrong } from "../engine.ts"
import { isAboutMemory } from "../lost-memory.ts"
import { TooSlow } from "./js-reference.ts"
import type { LayerTracker } from "./layer-tracker.ts"

/** Builds a model. Throws MODEL_REFUSED for what the library can't build. */
export async function buildInOurWords<T>(tracker: LayerTracker, build: () => Promise<T>): Promise<T> {
  tracker.start()
  try {
    return await build()
  } catch (error) {
    throw ownError(error, tracker) ?? unbuildable(error, tracker)
  }
}

/** Asks a model. Throws INPUT_INVALID for what the library can't compute; memory that is gone stays the error it is. */
export async function askInOurWords<T>(tracker: LayerTracker, ask: () => Promise<T>): Promise<T> {
  tracker.start()
  try {
    return await ask()
  } catch (error) {
    throw ownError(error, tracker) ?? (isAboutMemory(error) ? error : uncomputable(error, tracker))
  }
}

function ownError(error: unknown, { where }: LayerTracker): Error | null {
  const at = where() ?? "the model"
  if (error instanceof RuntimeError) return placed(error, at)
  for (const kind of [EngineLost, EngineUnfit, EngineWrong, TooSlow]) if (error instanceof kind) return error
  if (/^Kernel '.*' not registered for backend|Op type not registered/.test(messageOf(error)))
    return new EngineUnfit(`it has no kernel for ${at}`, { cause: error })
  if (error instanceof RangeError && error.message.includes("call stack"))
    return refused(`its layers lie deeper in each other than this process can follow, at ${at}`, { cause: error })
  return null
}

function placed(error: RuntimeError, at: string): RuntimeError {
  const { code, message, hint } = error
  return new RuntimeError(code, `${at}: ${message}`, { cause: error, ...(hint === undefined ? {} : { hint }) })
}

function unbuildable(cause: unknown, { where }: LayerTracker): RuntimeError {
  const at = where() ?? "the topology"
  return refused(
    `${at}: tfjs-layers 4.22 can't build it: a setting is missing, unknown, or does not fit the layer before`,
    {
      cause,
      hint: "save the model again with tfjs-layers or its converter, or replace the layer",
    },
  )
}

function uncomputable(cause: unknown, { where }: LayerTracker): RuntimeError {
  return new RuntimeError("INPUT_INVALID", `${where() ?? "the model"} can't compute this question`, {
    cause,
    hint: "ask with another shape, or other values",
  })
}
