/**
 * Many small byte strings in one buffer, which goes to another thread without being copied: cloning each costs more than
 * judging it.
 *
 *     packer.add(bytes1), packer.add(bytes2)  ->  { at: 0, length: 1077 }, { at: 1077, length: 64 }   and 1141 bytes
 */
export interface Slice {
  readonly at: number
  readonly length: number
}

export class Packer {
  readonly #pieces: Uint8Array[] = []
  #length = 0

  add(bytes: Uint8Array): Slice {
    const slice = { at: this.#length, length: bytes.length }
    this.#pieces.push(bytes)
    this.#length += bytes.length
    return slice
  }

  pack(): ArrayBuffer {
    const whole = new Uint8Array(this.#length)
    let at = 0
    for (const piece of this.#pieces) {
      whole.set(piece, at)
      at += piece.length
    }
    return whole.buffer
  }
}

/** A view, not a copy. */
export function unpack(packed: ArrayBuffer, { at, length }: Slice): Uint8Array<ArrayBuffer> {
  return new Uint8Array(packed, at, length)
}
