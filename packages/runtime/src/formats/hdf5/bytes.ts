/** Little-endian numbers at addresses of an HDF5 file, each bounded by the file. */
import { refused } from "../../errors.ts"

/** An address that leads nowhere (HDF5 File Format Specification 3.0, "undefined address"). */
export const nowhere = -1

export class FileBytes {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly #view: DataView

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get length(): number {
    return this.bytes.length
  }

  u8(at: number): number {
    this.#require(at, 1)
    return this.#view.getUint8(at)
  }
  u16(at: number): number {
    this.#require(at, 2)
    return this.#view.getUint16(at, true)
  }
  u32(at: number): number {
    this.#require(at, 4)
    return this.#view.getUint32(at, true)
  }
  /** A length. */
  u64(at: number): number {
    this.#require(at, 8)
    const value = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32
    if (!Number.isSafeInteger(value)) throw refused(`a length of more than 2^53 at byte ${at}`)
    return value
  }
  /** An address, or `nowhere`. */
  address(at: number): number {
    this.#require(at, 8)
    const [low, high] = [this.#view.getUint32(at, true), this.#view.getUint32(at + 4, true)]
    if (low === 0xffffffff && high === 0xffffffff) return nowhere
    return this.u64(at)
  }
  /** `size` is 1, 2, 4 or 8. */
  uint(at: number, size: number): number {
    return size === 1 ? this.u8(at) : size === 2 ? this.u16(at) : size === 4 ? this.u32(at) : this.u64(at)
  }

  /** Nothing is copied. */
  range(at: number, length: number): Uint8Array<ArrayBuffer> {
    this.#require(at, length)
    return this.bytes.subarray(at, at + length)
  }

  /** Four letters, as most structures begin. */
  requireSignature(at: number, signature: string): void {
    const found = Buffer.from(this.range(at, signature.length)).toString("latin1")
    if (found !== signature) throw refused(`no ${signature} at byte ${at}`)
  }

  /** UTF-8 that ends with a zero, or at `end`. */
  text(at: number, end: number): string {
    const bytes = this.range(at, end - at)
    const zero = bytes.indexOf(0)
    return decodeText(zero < 0 ? bytes : bytes.subarray(0, zero))
  }

  #require(at: number, length: number): void {
    if (at >= 0 && length >= 0 && at + length <= this.bytes.length) return
    throw refused(`it leads to byte ${at + length}, and has ${this.bytes.length}`)
  }
}

export function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw refused("a text that is not UTF-8", { cause })
  }
}
