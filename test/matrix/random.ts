/**
 * Numbers from a seed, the same on every machine and in every Node: integers and divisions by powers of two only.
 *
 *     const random = new Random("Conv2D/17")
 *     random.int(1, 3)                    // 1, 2 or 3
 *     random.of(["valid", "same"])
 */
export class Random {
  #state: number

  constructor(seed: string) {
    this.#state = 0x811c9dc5
    for (const char of seed) this.#state = Math.imul(this.#state ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0
    for (let round = 0; round < 4; round++) this.bits()
  }

  /** 32 bits (the generator is called mulberry32). */
  bits(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** `least` and `most` included. */
  int(least: number, most: number): number {
    return least + (this.bits() % (most - least + 1))
  }

  of<T>(values: readonly T[]): T {
    const value = values[this.int(0, values.length - 1)]
    if (value === undefined) throw new RangeError("nothing to choose from")
    return value
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.int(1, times) === 1
  }

  many<T>(count: number, one: () => T): T[] {
    return Array.from({ length: count }, one)
  }
}
