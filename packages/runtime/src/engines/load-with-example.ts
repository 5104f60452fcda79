/**
 * A load whose golden example has a time limit: a model whose own example takes so long is of no use, and the thread can't
 * be asked to stop, only ended.
 */
import { refused } from "../errors.ts"
import type { LoadReply, LoadRequest } from "./messages.ts"
import type { WorkerLink } from "./worker-link.ts"

/** Milliseconds. */
export const defaultGoldenTimeout = 30_000

/** Throws what a load throws; MODEL_REFUSED, with the thread ended, where the golden example takes longer. */
export async function loadWithExample(
  link: WorkerLink,
  request: LoadRequest,
  milliseconds: number,
): Promise<LoadReply> {
  let timer: NodeJS.Timeout | undefined
  let late = false
  const stop = (): void => {
    late = true
    void link.close(`did not answer the golden example within ${milliseconds} ms`)
  }
  try {
    return await link.load(request, (stage) => {
      clearTimeout(timer)
      if (stage === "golden") timer = setTimeout(stop, milliseconds)
    })
  } catch (error) {
    if (!late) throw error
    throw refused(`the golden example is not answered within ${milliseconds} ms`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}
