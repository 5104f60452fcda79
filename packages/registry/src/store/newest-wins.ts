/**
 * Lets one task at a time work under a key, and the newest at that: a client that lost its connection and tries again must
 * not wait for the server to notice that the first try is dead. Whoever is superseded shares the outcome of the newest,
 * so two clients that bring the same are both told that it is there.
 *
 *     A: ───── superseded ┄┄┄┄┄┄┄ waits ┄┄┄┐
 *     B:       └── works ── done ──────────┴─ A and B are both answered
 */
import { RegistryError } from "../errors.ts"

interface Turn {
  readonly controller: AbortController
  /** Settles when the task no longer touches anything. */
  readonly work: Promise<void>
  next?: Promise<void>
}

export class NewestWins {
  readonly #active = new Map<string, Turn>()

  /**
   * Tells the task that holds the key to stop (its signal), waits until it has, then runs this one. Rejects with UNAVAILABLE
   * when a newer task took over and failed: trying again may help.
   */
  async run(key: string, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const before = this.#active.get(key)
    const controller = new AbortController()
    const work = (async () => {
      await before?.work.catch(() => undefined)
      controller.signal.throwIfAborted()
      await task(controller.signal)
    })()
    const turn: Turn = { controller, work }
    this.#active.set(key, turn)
    const outcome = this.#outcome(key, turn)
    outcome.catch(() => undefined)
    if (before) {
      before.next = outcome
      before.controller.abort()
    }
    await outcome
  }

  async #outcome(key: string, turn: Turn): Promise<void> {
    try {
      await turn.work
    } catch (error) {
      if (!turn.next) throw error
      await turn.next.catch((cause: unknown) => {
        throw new RegistryError("UNAVAILABLE", "a newer request took over and failed", { cause, hint: "send it again" })
      })
    } finally {
      if (this.#active.get(key) === turn) this.#active.delete(key)
    }
  }
}
