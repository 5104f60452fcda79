/**
 * How much is looked at of what a registry lists beyond the audited log. Each list has its cap; a registry could still make up
 * as many lists as it likes.
 *
 *     audited: acme/mnist@1.0.0        listed: acme/mnist@1.0.0, 1.1.0 (published since: newer), 6.6.6 (made up: surplus)
 *
 * Beyond a cap nothing is said against the registry, whose log may have grown: the audit ends as one that did not look at
 * everything, with what it has found until then.
 */
import { type ClientError, unavailable } from "../errors.ts"

export interface SurplusCaps {
  /** Things that were never logged, or are named twice. */
  readonly surplus: number
  /** Models and versions that may have been published since: an honest log grows while it is audited. */
  readonly newer: number
}

export const defaultCaps: SurplusCaps = { surplus: 100_000, newer: 1_000_000 }

export class SurplusCount {
  readonly #caps: SurplusCaps
  #surpluses = 0
  #newer = 0

  constructor(caps: SurplusCaps) {
    this.#caps = caps
  }

  /** Throws UNAVAILABLE. */
  addSurplus(): void {
    if (++this.#surpluses > this.#caps.surplus) throw unread(this.#caps.surplus, "that were never logged")
  }

  /** Throws UNAVAILABLE. */
  addNewer(): void {
    if (++this.#newer > this.#caps.newer)
      throw unread(this.#caps.newer, "that were not in the log when the audit began")
  }
}

function unread(most: number, what: string): ClientError {
  return unavailable(`the registry lists more than ${most} models and versions ${what}: the rest was not looked at`, {
    hint: "audit again, or the log alone, without what the API lists (--no-live)",
  })
}
