/**
 * Many distinct names, each with a number from 0 on, in a few flat arrays: a million take 40 MB, where a Map of strings
 * takes 150.
 *
 *     bytes   acme/mnist@1.2.0acme/mnist@1.3.0…      ends   16 32 …      slots   (number + 1) by hash, 0 where free
 */
import { decodeUtf8, encodeUtf8, sha256Hex } from "./encoding.ts"

export class NameTable {
  #bytes = new Uint8Array(65_536)
  #ends = new Float64Array(1024)
  #hashes = new Uint32Array(1024)
  #slots = new Uint32Array(4096)
  #length = 0
  // Names are other people's: with a seed that is ours, nobody can choose many that meet in one slot.
  readonly #seed = crypto.getRandomValues(new Uint8Array(16))
  readonly #scratch = new Uint8Array(16 + 1024)

  constructor() {
    this.#scratch.set(this.#seed)
  }

  get length(): number {
    return this.#length
  }

  /** The name's number, or -1. */
  find(name: string): number {
    const bytes = encodeUtf8(name)
    return this.#find(bytes, this.#hash(bytes)).row
  }

  /** The name's number, a new one if it was not there. */
  add(name: string): number {
    const bytes = encodeUtf8(name)
    const hash = this.#hash(bytes)
    const found = this.#find(bytes, hash)
    if (found.row >= 0) return found.row
    const row = this.#length++
    this.#makeRoom(bytes.length)
    this.#bytes.set(bytes, this.#start(row))
    this.#ends[row] = this.#start(row) + bytes.length
    this.#hashes[row] = hash
    if (this.#length * 2 > this.#slots.length) this.#rehash()
    else this.#slots[found.slot] = row + 1
    return row
  }

  name(row: number): string {
    return decodeUtf8(this.#bytes.subarray(this.#start(row), this.#ends[row]), "a name")
  }

  #start(row: number): number {
    return row === 0 ? 0 : (this.#ends[row - 1] ?? 0)
  }

  #find(bytes: Uint8Array, hash: number): { row: number; slot: number } {
    const mask = this.#slots.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const row = (this.#slots[slot] ?? 0) - 1
      if (row < 0 || (this.#hashes[row] === hash && this.#equals(row, bytes))) return { row, slot }
    }
  }

  #equals(row: number, bytes: Uint8Array): boolean {
    const start = this.#start(row)
    if ((this.#ends[row] ?? 0) - start !== bytes.length) return false
    for (let at = 0; at < bytes.length; at++) if (this.#bytes[start + at] !== bytes[at]) return false
    return true
  }

  #hash(bytes: Uint8Array): number {
    const whole = this.#scratch.length >= 16 + bytes.length ? this.#scratch : new Uint8Array(16 + bytes.length)
    if (whole !== this.#scratch) whole.set(this.#seed)
    whole.set(bytes, 16)
    return Number.parseInt(sha256Hex(whole.subarray(0, 16 + bytes.length)).slice(0, 8), 16)
  }

  #makeRoom(bytes: number): void {
    const used = this.#start(this.#length - 1)
    if (used + bytes > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length + bytes)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    if (this.#length <= this.#ends.length) return
    const [ends, hashes] = [new Float64Array(2 * this.#ends.length), new Uint32Array(2 * this.#hashes.length)]
    ends.set(this.#ends)
    hashes.set(this.#hashes)
    this.#ends = ends
    this.#hashes = hashes
  }

  #rehash(): void {
    const slots = new Uint32Array(2 * this.#slots.length)
    const mask = slots.length - 1
    for (let row = 0; row < this.#length; row++) {
      let slot = (this.#hashes[row] ?? 0) & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = row + 1
    }
    this.#slots = slots
  }
}
