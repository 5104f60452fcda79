/**
 * Several shards read as one run of bytes, without joining them: a range inside one shard is a view, only what straddles
 * two shards or sits misaligned is copied. A 268 MB model costs its own bytes once, not three times.
 */
export class ShardedBytes {
  readonly length: number
  readonly #shards: readonly Uint8Array<ArrayBuffer>[]

  constructor(shards: readonly Uint8Array<ArrayBuffer>[]) {
    this.#shards = shards
    this.length = shards.reduce((total, shard) => total + shard.length, 0)
  }

  /** Arguments for a typed array of `count` elements of `width` bytes that begins at byte `start`. */
  aligned(start: number, count: number, width: number): [buffer: ArrayBuffer, byteOffset: number, length: number] {
    const bytes = this.#range(start, count * width)
    return bytes.byteOffset % width === 0 ? [bytes.buffer, bytes.byteOffset, count] : [bytes.slice().buffer, 0, count]
  }

  #range(start: number, length: number): Uint8Array<ArrayBuffer> {
    let begin = 0
    for (const shard of this.#shards) {
      if (start >= begin && start + length <= begin + shard.length)
        return shard.subarray(start - begin, start - begin + length)
      begin += shard.length
    }
    return this.#join(start, length)
  }

  #join(start: number, length: number): Uint8Array<ArrayBuffer> {
    const joined = new Uint8Array(length)
    let begin = 0
    for (const shard of this.#shards) {
      const from = Math.max(start, begin)
      const to = Math.min(start + length, begin + shard.length)
      if (from < to) joined.set(shard.subarray(from - begin, to - begin), from - start)
      begin += shard.length
    }
    return joined
  }
}
