/** Telling the user: each event of an entry once it was heard, each lasting state once while it lasts. */
import type { Alert } from "./alert.ts"
import type { Cursor } from "./cursor.ts"
import type { Noticed } from "./watch.ts"

/** The user's own `deliver` has failed, with `cause`: that says nothing about the log. */
export class Undelivered extends Error {
  override readonly name = "Undelivered"
}

export class Delivery {
  readonly #deliver: (alert: Alert) => Promise<void>
  readonly #origin: string
  count = 0

  constructor(deliver: (alert: Alert) => Promise<void>, origin: string) {
    this.#deliver = deliver
    this.#origin = origin
  }

  /** Throws Undelivered. */
  async tell(noticed: Noticed): Promise<void> {
    try {
      await this.#deliver({ ...noticed, origin: this.#origin, at: new Date().toISOString() })
    } catch (cause) {
      throw new Undelivered("an alert was not delivered", { cause })
    }
    this.count++
  }

  /** What was told before and is not `found` any more is over; unless nobody could look, who was `stopped`. */
  async tellStanding(standing: Cursor["standing"], found: readonly Noticed[], stopped: boolean): Promise<void> {
    for (const noticed of found) {
      if (!standing.has(noticed.id)) await this.tell(noticed)
      standing.add(noticed.id)
    }
    const lasting = new Set(found.map(({ id }) => id))
    if (!stopped) for (const id of standing) if (!lasting.has(id)) standing.delete(id)
  }
}
