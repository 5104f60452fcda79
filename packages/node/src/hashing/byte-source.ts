/** Where bytes come from that are hashed: an open file, or chunks that somebody else has. */
import type { FileHandle } from "node:fs/promises"

export interface ByteSource {
  /** Fills memory as far as one read goes; 0 at the end. */
  read(memory: Uint8Array, offset: number, length: number): Promise<{ readonly bytesRead: number }>
}

/** The bytes of an open file from `start` on, wherever others have read to. */
export function rangeSource(file: FileHandle, start: number): ByteSource {
  let at = start
  return {
    read: async (memory, offset, length) => {
      const { bytesRead } = await file.read(memory, offset, length, at)
      at += bytesRead
      return { bytesRead }
    },
  }
}

/** `false` when the source ends before the memory is full. */
export async function fill(source: ByteSource, memory: Uint8Array): Promise<boolean> {
  for (let filled = 0; filled < memory.length;) {
    const { bytesRead } = await source.read(memory, filled, memory.length - filled)
    if (bytesRead === 0) return false
    filled += bytesRead
  }
  return true
}

export class ChunkSource implements ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  async read(memory: Uint8Array, offset: number, length: number): Promise<{ bytesRead: number }> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next()
      if (next.done === true) return { bytesRead: 0 }
      this.#rest = next.value
    }
    const bytesRead = Math.min(length, this.#rest.length)
    memory.set(this.#rest.subarray(0, bytesRead), offset)
    this.#rest = this.#rest.subarray(bytesRead)
    return { bytesRead }
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }
}
