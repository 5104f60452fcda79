/** Many byte strings of one length, in blocks: no object for each, and nothing is copied when there are more. */
export class Rows {
  readonly #width: number
  readonly #blocks: Uint8Array[] = []
  #length = 0

  constructor(width: number) {
    this.#width = width
  }

  /** Returns the number of the new row. */
  push(bytes: Uint8Array): number {
    const row = this.#length++
    if (row % rowsPerBlock === 0) this.#blocks.push(new Uint8Array(rowsPerBlock * this.#width))
    this.set(row, bytes)
    return row
  }

  set(row: number, bytes: Uint8Array): void {
    this.#place(row).set(bytes)
  }

  /** A copy. */
  get(row: number): Uint8Array {
    return this.#place(row).slice()
  }

  #place(row: number): Uint8Array {
    const block = this.#blocks[Math.floor(row / rowsPerBlock)]
    if (block === undefined || row >= this.#length) throw new RangeError(`no row ${row}`)
    const start = (row % rowsPerBlock) * this.#width
    return block.subarray(start, start + this.#width)
  }
}

const rowsPerBlock = 4096
