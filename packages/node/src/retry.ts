/**
 * Asking again, with pauses that grow:
 *
 *     attempt 1 ─ fails ─ 0.2 s ─ attempt 2 ─ fails ─ 0.8 s ─ attempt 3 ─ fails ─ 3.2 s ─ attempt 4 ─ fails: that is thrown
 *
 * Each pause is up to a quarter shorter or longer, by chance: those who failed together do not come back together. It is at
 * least as long as the other side asks for (Retry-After), up to half a minute. After a long silence nothing is begun again: a
 * server that hangs costs its one time limit, not four of them.
 */
import { startAwakeClock } from "./awake-clock.ts"
import { pause } from "./pause.ts"

export interface Backoff {
  /** ms */
  readonly firstMs: number
  /** How much longer each pause is than the one before it. */
  readonly factor: number
  /** ms; no pause is longer. */
  readonly longestMs: number
}
export const defaultBackoff: Backoff = { firstMs: 200, factor: 4, longestMs: 30_000 }

/** Of Retry-After that is believed, ms. */
const longestRetryAfter = 30_000

/**
 * To be called when an answer or bytes of it arrive: the time without a sign of life begins anew. An answer may say when to
 * ask again at the earliest.
 */
export type Alive = (retryAfterMs?: number) => void

export interface RetryOptions {
  /** Whether the same again may have another outcome. */
  readonly mayHelp: (error: unknown) => boolean
  /** How often the task is begun at most; 4 unless told. */
  readonly attempts?: number
  /** ms without a sign of life after which nothing is begun again; 30 s unless told. */
  readonly timeoutMs?: number
  readonly backoff?: Backoff
  readonly signal?: AbortSignal | undefined
  /** Monotonic, ms; by default only time counts in which this process was not stopped. */
  readonly now?: () => number
}

/** Throws what `task` threw last, or the signal's reason. */
export async function retrying<T>(task: (alive: Alive) => Promise<T>, options: RetryOptions): Promise<T> {
  if (options.now !== undefined) return await retryBy(options.now, task, options)
  const clock = startAwakeClock()
  try {
    return await retryBy(() => clock.now(), task, options)
  } finally {
    clock.stop()
  }
}

async function retryBy<T>(now: () => number, task: (alive: Alive) => Promise<T>, options: RetryOptions): Promise<T> {
  const { mayHelp, attempts = 4, timeoutMs = 30_000, backoff = defaultBackoff, signal } = options
  let [since, retryAfter] = [now(), 0]
  const alive: Alive = (retryAfterMs = 0) => {
    since = now()
    retryAfter = retryAfterMs
  }
  for (let failures = 1; ; failures++) {
    signal?.throwIfAborted()
    try {
      return await task(alive)
    } catch (error) {
      if (mayHelp(error)) signal?.throwIfAborted() // it is what was under way that broke off
      const attemptsLeft = attempts - failures
      if (attemptsLeft <= 0 || !mayHelp(error) || now() - since >= timeoutMs) throw error
    }
    const asked = Math.min(retryAfter, longestRetryAfter)
    retryAfter = 0
    await pause(Math.max(asked, backoffMs(failures, backoff)), signal)
  }
}

/** The pause after so many failures in a row (from 1), ms, with its chance in it. */
export function backoffMs(failures: number, { firstMs, factor, longestMs }: Backoff = defaultBackoff): number {
  return Math.min(longestMs, firstMs * factor ** (failures - 1)) * (0.75 + Math.random() / 2)
}

const httpDate = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** A `Retry-After` header (RFC 9110 §10.2.3) in ms from now; 0 for what is absent, past or none. */
export function parseRetryAfter(text: string | undefined, now: number = Date.now()): number {
  if (text === undefined) return 0
  if (/^\d{1,9}$/.test(text)) return 1000 * Number(text)
  return httpDate.test(text) ? Math.max(0, Date.parse(text) - now) || 0 : 0
}
