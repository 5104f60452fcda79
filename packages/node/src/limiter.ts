/**
 * Many things at once, but not too many.
 *
 *     const limiter = new Limiter(2)
 *     await Promise.all(files.map((file) => limiter.run(() => hash(file))))
 *
 *     running   a b c d
 *               └─┴── c begins when a or b ends, d next
 */
interface Waiting {
  readonly owner: unknown
  readonly begin: () => void
}

export interface LimiterOptions {
  /** Whose task it is: whoever has the fewest running is next, and of those, who asked first. */
  readonly owner?: unknown
  /** Whoever waits gives up, with the signal's reason; a task that runs has to look at the signal itself. */
  readonly signal?: AbortSignal | undefined
}

/** At most `width` tasks at once, in the order they were asked for. */
export class Limiter {
  #free: number
  readonly #waiting: Waiting[] = []
  readonly #running = new Map<unknown, number>()

  constructor(width: number) {
    this.#free = width
  }

  async run<T>(task: () => Promise<T>, { owner = null, signal }: LimiterOptions = {}): Promise<T> {
    signal?.throwIfAborted()
    if (this.#free > 0) {
      this.#free--
      this.#count(owner, 1)
    } else await this.#turn(owner, signal)
    try {
      return await task()
    } finally {
      this.#count(owner, -1)
      this.#next()
    }
  }

  #turn(owner: unknown, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        signal?.removeEventListener("abort", giveUp)
        resolve()
      }
      const waiting = { owner, begin }
      const giveUp = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(signal?.reason)
      }
      this.#waiting.push(waiting)
      signal?.addEventListener("abort", giveUp, { once: true })
    })
  }

  #next(): void {
    const [first] = this.#waiting
    if (first === undefined) {
      this.#free++
      return
    }
    const has = ({ owner }: Waiting): number => this.#running.get(owner) ?? 0
    const next = this.#waiting.reduce((least, each) => (has(each) < has(least) ? each : least))
    this.#waiting.splice(this.#waiting.indexOf(next), 1)
    this.#count(next.owner, 1)
    next.begin()
  }

  #count(owner: unknown, more: number): void {
    const running = (this.#running.get(owner) ?? 0) + more
    if (running === 0) this.#running.delete(owner)
    else this.#running.set(owner, running)
  }
}

/** Runs `task` on every item, `width` at a time. After the first failure nothing new starts; what runs is awaited. */
export async function forEach<T>(
  items: Iterable<T> | AsyncIterable<T>,
  width: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const queue = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const failures: unknown[] = []
  const hasFailed = (): boolean => failures.length > 0
  const work = async (): Promise<void> => {
    while (!hasFailed()) {
      try {
        const next = await queue.next()
        if (next.done === true || hasFailed()) return // while one waits for an item, another may fail
        await task(next.value)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: width }, work))
  if (!hasFailed()) return
  await queue.return?.()
  throw failures[0]
}
