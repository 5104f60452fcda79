/** A fixed number of blocks of shared memory, lent out one by one: who comes too soon waits. */
export class SharedBlocks {
  readonly memory: SharedArrayBuffer
  readonly #blockSize: number
  readonly #free: number[]
  readonly #waiting: ((offset: number) => void)[] = []

  constructor(count: number, blockSize: number) {
    this.memory = new SharedArrayBuffer(count * blockSize)
    this.#blockSize = blockSize
    this.#free = Array.from({ length: count }, (_, at) => at * blockSize)
  }

  /** Where in the memory a block begins that nobody else has. */
  take(): Promise<number> {
    const offset = this.#free.pop()
    return offset === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(offset)
  }

  give(offset: number): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(offset)
    else next(offset)
  }

  /** The first `length` bytes of the block. */
  view(offset: number, length: number): Uint8Array<SharedArrayBuffer> {
    return new Uint8Array(this.memory, offset, Math.min(length, this.#blockSize))
  }
}
