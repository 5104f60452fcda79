/**
 * How long an engine waits before it is loaded again: not at all, unless it was lost before and soon after.
 *
 *     lost after an hour: 0, and if loading fails 250 ms, 500 ms, 1 s, …; lost again within a minute: 250 ms, 500 ms, …
 */
const first = 250
const longest = 8_000
/** An engine that has lived so long, ms, is not in a loop of crashes. */
const settled = 60_000

export class RestartDelay {
  #inRow = 0
  #since = performance.now()

  /** An engine is ready. */
  started(): void {
    this.#since = performance.now()
  }

  /** An engine was lost. */
  lost(): void {
    if (performance.now() - this.#since > settled) this.#inRow = 0
  }

  /** Milliseconds before the next try. */
  next(): number {
    const delay = this.#inRow === 0 ? 0 : Math.min(longest, first * 2 ** (this.#inRow - 1))
    this.#inRow += 1
    return delay
  }
}
