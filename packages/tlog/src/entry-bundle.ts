/**
 * Entry bundles: up to 256 entries, each a big-endian uint16 length and so many bytes (c2sp.org/tlog-tiles, "Log entries").
 *
 *     00 05 h e l l o  00 00  00 02 h i          three entries: "hello", "", "hi"
 */
import { malformed } from "./errors.ts"
import { tileWidth } from "./tile.ts"

/** What a uint16 can count; every entry of a tiled log is at most this long. */
const maximumEntry = 65_535

/** The longest a bundle can be: what bounds its transfer and decompression. */
export const maximumEntryBundle: number = tileWidth * (2 + maximumEntry)

export function formatEntryBundle(entries: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  requireWidth(entries.length)
  let length = 0
  for (const entry of entries) {
    if (entry.length > maximumEntry) throw malformed(`an entry of ${entry.length} bytes, more than ${maximumEntry}`)
    length += 2 + entry.length
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const entry of entries) {
    bytes[at] = entry.length >> 8
    bytes[at + 1] = entry.length & 0xff
    bytes.set(entry, at + 2)
    at += 2 + entry.length
  }
  return bytes
}

/** Exactly `width` entries and nothing after them, else `MALFORMED`. The entries are views of `bytes`, not copies. */
export function parseEntryBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  const { entries, end } = readEntryBundle(bytes, width)
  if (entries.length < width) throw malformed(`the entry bundle ends in entry ${entries.length}`)
  if (end !== bytes.length) throw malformed(`the entry bundle goes on after its ${width} entries`)
  return entries
}

/** The entries that are whole, at most `width`, and where they end. */
export function readEntryBundle(bytes: Uint8Array, width: number): { entries: Uint8Array[]; end: number } {
  requireWidth(width)
  const entries: Uint8Array[] = []
  const { buffer, byteOffset } = bytes
  let at = 0
  while (entries.length < width) {
    const end = at + 2 + (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0))
    if (at + 2 > bytes.length || end > bytes.length) break
    entries.push(new Uint8Array(buffer, byteOffset + at + 2, end - at - 2))
    at = end
  }
  return { entries, end: at }
}

function requireWidth(width: number): void {
  if (!(Number.isInteger(width) && width >= 1 && width <= tileWidth)) {
    throw malformed(`an entry bundle holds 1 to ${tileWidth} entries, not ${width}`)
  }
}
