/**
 * Asking again: only after UNAVAILABLE, at most three times, pausing 0.2 s, 0.8 s, 3.2 s and a random bit, and never once
 * 30 s have passed without a sign of life. A registry that hangs costs its one idle limit, not four of them. An answer is a
 * sign of life, whatever it says: 408 and 503 are asked again.
 */
import { setTimeout as pause } from "node:timers/promises"
import { startAwakeClock } from "./awake-clock.ts"
import { ClientError } from "./errors.ts"
import { isCertificateError } from "./tls.ts"

const attempts = 4
/** Without a sign of life, ms. */
const patience = 30_000

export interface Patience {
  readonly signal?: AbortSignal | undefined
  /** Monotonic, ms; by default only time counts in which this process was not stopped. */
  readonly now?: () => number
}

/** `task` may call `alive` when an answer or bytes of it arrive: the 30 s begin again. */
export async function retrying<T>(task: (alive: () => void) => Promise<T>, { signal, now }: Patience = {}): Promise<T> {
  if (now !== undefined) return await retryBy(now, task, signal)
  const clock = startAwakeClock()
  try {
    return await retryBy(() => clock.now(), task, signal)
  } finally {
    clock.stop()
  }
}

async function retryBy<T>(
  now: () => number,
  task: (alive: () => void) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  let since = now()
  for (let attempt = 1; ; attempt++) {
    try {
      return await task(() => (since = now()))
    } catch (error) {
      if (!mayHelp(error) || attempt === attempts || now() - since >= patience) throw error
      await pause(50 * 4 ** attempt * (0.75 + Math.random() / 2), undefined, signal === undefined ? {} : { signal })
    }
  }
}

function mayHelp(error: unknown): boolean {
  return error instanceof ClientError && error.code === "UNAVAILABLE" && !isCertificateError(error.cause)
}
