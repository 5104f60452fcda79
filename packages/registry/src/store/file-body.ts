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
    const spare: Buffer[] = []
    const read = async (at: number): Promise<{ memory: Buffer; bytesRead: number }> => {
      const memory = spare.pop() ?? Buffer.allocUnsafeSlow(Math.min(block, end + 1 - at))
      const { bytesRead } = await this.#file.read(memory, 0, Math.min(memory.length, end + 1 - at), at)
      return { memory, bytesRead }
    }
    try {
      let reading = start > end ? null : read(start)
      for (let at = start; reading !== null;) {
        const { memory, bytesRead } = await reading
        if (bytesRead === 0) return
        at += bytesRead
        reading = at > end ? null : read(at)
        reading?.catch(() => undefined) // awaited in the next round, or of no interest any more
        yield memory.subarray(0, bytesRead)
        spare.push(memory)
      }
    } finally {
      await this.destroy()
    }
  }

  async destroy(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#file.close()
  }
}
