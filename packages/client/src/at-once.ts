/** Many things at once, but not too many. */

/** Runs `task` on every item, `width` at a time. After the first failure nothing new starts; what runs is awaited. */
export async function forEach<T>(items: Iterable<T>, width: number, task: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]()
  let failure: { error: unknown } | null = null
  const work = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true && failure === null; next = queue.next()) {
      try {
        await task(next.value)
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: width }, work))
  if (failure !== null) throw (failure as { error: unknown }).error
}

interface Waiting {
  readonly owner: unknown
  readonly go: () => void
}

/** At most `width` tasks at once, whoever asks. A place goes to the owner who has the fewest; of those, who asked first. */
export class Slots {
  #free: number
  readonly #waiting: Waiting[] = []
  readonly #held = new Map<unknown, number>()
  constructor(width: number) {
    this.#free = width
  }

  async run(task: () => Promise<void>, owner: unknown = null): Promise<void> {
    if (this.#free > 0) {
      this.#free--
      this.#count(owner, 1)
    } else await new Promise<void>((go) => this.#waiting.push({ owner, go }))
    try {
      await task()
    } finally {
      this.#count(owner, -1)
      this.#pass()
    }
  }

  #pass(): void {
    const [first] = this.#waiting
    if (first === undefined) {
      this.#free++
      return
    }
    const next = this.#waiting.reduce((least, each) => (this.#has(each.owner) < this.#has(least.owner) ? each : least))
    this.#waiting.splice(this.#waiting.indexOf(next), 1)
    this.#count(next.owner, 1)
    next.go()
  }

  #has(owner: unknown): number {
    return this.#held.get(owner) ?? 0
  }

  #count(owner: unknown, more: number): void {
    const held = this.#has(owner) + more
    if (held === 0) this.#held.delete(owner)
    else this.#held.set(owner, held)
  }
}
