/**
 * Bytes of an open file in blocks, the next one being read while one is used. Two pieces of memory serve for all of it: a
 * fresh one for each block would cost the registry a third of its time for garbage collection.
 */
import type { FileHandle } from "node:fs/promises"

import type { BlobBody, ByteRange } from "./blobs.ts"

const block = 2 ** 17

export class FileBody implements BlobBody {
  readonly #file: FileHandle
  readonly #range: ByteRange
  #isOpen = true

  constructor(file: FileHandle, range: ByteRange) {
    this.#file = file
    this.#range = range
  }

  /** Ends early where the file does. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const { start, end } = this.#range
    const size = Math.min(block, end + 1 - start)
    let [now, then] = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)]
    try {
      let reading = this.#read(now, start)
      for (let at = start; at <= end;) {
        const bytesRead = await reading
        if (bytesRead === 0) return
        at += bytesRead
        const full = now.subarray(0, bytesRead)
        ;[now, then] = [then, now]
        reading = this.#read(now, at)
        reading.catch(() => undefined) // awaited in the next round, or of no interest any more
        yield full
      }
    } finally {
      await this.destroy()
    }
  }

  async #read(memory: Buffer, at: number): Promise<number> {
    const most = Math.min(memory.length, this.#range.end + 1 - at)
    return most <= 0 ? 0 : (await this.#file.read(memory, 0, most, at)).bytesRead
  }

  async destroy(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#file.close()
  }
}
