/**
 * Lets one task at a time work under a key, and the newest at that: a client that lost its connection and tries again must
 * not wait for the server to notice that the first try is dead.
 */
export class NewestWins {
  readonly #active = new Map<string, { controller: AbortController; done: Promise<unknown> }>()

  /** Aborts the task that holds the key, waits until it has ended, then runs this one with a signal of its own. */
  async run<T>(key: string, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const before = this.#active.get(key)
    before?.controller.abort()
    const controller = new AbortController()
    const work = (async () => {
      await before?.done.catch(() => undefined)
      controller.signal.throwIfAborted()
      return await task(controller.signal)
    })()
    const entry = { controller, done: work }
    this.#active.set(key, entry)
    try {
      return await work
    } finally {
      if (this.#active.get(key) === entry) this.#active.delete(key)
    }
  }
}
