/** How long the last answers took: what a person who looks at /readyz wants to know. Prometheus has a histogram. */

/** Answers that are looked at. */
const kept = 1000
/** How long these take is up to who sends or reads a file. */
const ofFiles = /\/(?:blobs|parts)\//

export interface RecentLatency {
  readonly answers: number
  /** ms, of half of them at most. */
  readonly p50: number
  /** ms, of 99 in a hundred at most. */
  readonly p99: number
}

export class Latency {
  readonly #recent: number[] = []
  #next = 0

  add(route: string, ms: number): void {
    if (ofFiles.test(route)) return
    this.#recent[this.#next] = ms
    this.#next = (this.#next + 1) % kept
  }

  get recent(): RecentLatency {
    const sorted = this.#recent.toSorted((a, b) => a - b)
    const at = (share: number): number =>
      Math.round(10 * (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)) / 10
    return { answers: sorted.length, p50: at(0.5), p99: at(0.99) }
  }
}
