/** One task at a time, in the order of asking: what reads something and then writes by it has it for itself. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve()
  #size = 0

  /** Tasks that are not done: the one that runs and those that wait. */
  get size(): number {
    return this.#size
  }

  /** Settles as `task` does. A task that fails does not keep the next from running. */
  run<T>(task: () => Promise<T>): Promise<T> {
    this.#size += 1
    const mine = this.#last.then(task, task).finally(() => {
      this.#size -= 1
    })
    this.#last = mine.catch(() => undefined)
    return mine
  }
}
