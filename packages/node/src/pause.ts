/** Waits. Node's own timer rejects with an AbortError, whatever the signal's reason is; this one with the reason. */
import { setTimeout as wait } from "node:timers/promises"

export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await wait(ms, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
    signal?.throwIfAborted()
    throw error
  })
}
