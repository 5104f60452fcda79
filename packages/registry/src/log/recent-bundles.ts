/**
 * Bundles that were asked for lately. What was published never changes; what proves it does, so a bundle is kept for as long
 * as it would be made again byte for byte: until its entry is proven under another checkpoint.
 */
import type { Served } from "./served.ts"

interface Kept {
  readonly index: number
  /** The checkpoint in it. */
  readonly note: string
  readonly bytes: Uint8Array
}

const maxBytes = 64 * 2 ** 20
/** A larger one would push out too many. */
const largest = 2 ** 20

export class RecentBundles {
  readonly #served: Served
  /** By the name it was asked for; the least recently used first. */
  readonly #kept = new Map<string, Kept>()
  #bytes = 0

  constructor(served: Served) {
    this.#served = served
  }

  /** `make` answers the index of the entry, and what makes its bundle. */
  async get(
    name: string,
    make: () => Promise<{ readonly index: number; readonly bundle: () => Promise<Uint8Array> }>,
  ): Promise<Uint8Array> {
    const kept = this.#kept.get(name)
    if (kept) {
      this.#drop(name, kept)
      if (this.#served.covering(kept.index).note === kept.note) return this.#keep(name, kept)
    }
    const { index, bundle } = await make()
    const { note } = this.#served.covering(index)
    return this.#keep(name, { index, note, bytes: await bundle() })
  }

  #keep(name: string, kept: Kept): Uint8Array {
    const { bytes } = kept
    if (bytes.length > largest) return bytes
    const other = this.#kept.get(name) // somebody asked at the same time
    if (other) this.#drop(name, other)
    this.#kept.set(name, kept)
    this.#bytes += bytes.length
    for (const [oldest, each] of this.#kept) {
      if (this.#bytes <= maxBytes) break
      this.#drop(oldest, each)
    }
    return bytes
  }

  #drop(name: string, { bytes }: Kept): void {
    this.#kept.delete(name)
    this.#bytes -= bytes.length
  }
}
