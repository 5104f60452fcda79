/**
 * A zip archive (PKWARE APPNOTE 6.3.10), as Keras writes it: stored members, or deflated ones, in their order, none over
 * another. The central directory and the local headers have to say the same.
 *
 *     openZip(bytes).get("config.json")?.()        a stored member is a view of the archive
 */
import { crc32, inflateRawSync } from "node:zlib"
import { messageOf, refused } from "../errors.ts"

/** The bytes of one member; inflated, and checked, when it is called. Throws MODEL_REFUSED. */
export type Member = () => Uint8Array<ArrayBuffer>

const maxMembers = 10_000
/** What deflate can make of a byte. */
const maxRatio = 1_032
const [endOfDirectory, directoryEntry, localHeader] = [0x06054b50, 0x02014b50, 0x04034b50]
const endSize = 22

interface Entry {
  readonly name: string
  readonly method: number
  readonly crc: number
  readonly packed: number
  readonly size: number
  /** Of the local header. */
  readonly offset: number
}

/** Throws MODEL_REFUSED. */
export function openZip(bytes: Uint8Array<ArrayBuffer>): Map<string, Member> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = findEnd(view)
  const [disk, count, size, start] = [
    view.getUint32(end + 4, true),
    view.getUint16(end + 10, true),
    view.getUint32(end + 12, true),
    view.getUint32(end + 16, true),
  ]
  if (disk !== 0 || view.getUint16(end + 8, true) !== count || start + size !== end || count > maxMembers)
    throw refused("a zip archive in parts, or with something behind its directory")
  const entries = readDirectory(view, bytes, start, end, count)
  const members = new Map<string, Member>()
  let free = 0
  for (const entry of entries.toSorted((a, b) => a.offset - b.offset)) {
    if (members.has(entry.name)) throw refused(`two members are called ${JSON.stringify(entry.name)}`)
    const data = dataOf(view, bytes, entry, start)
    if (entry.offset < free) throw refused(`member ${entry.name} lies over another`)
    free = data.end
    members.set(entry.name, () => unpack(bytes.subarray(data.start, data.end), entry))
  }
  return members
}

// A comment behind it is no model's.
function findEnd(view: DataView): number {
  const at = view.byteLength - endSize
  if (at < 0 || view.getUint32(at, true) !== endOfDirectory) throw refused("it is no zip archive, or has a comment")
  return at
}

function readDirectory(view: DataView, bytes: Uint8Array, start: number, end: number, count: number): Entry[] {
  const entries: Entry[] = []
  let at = start
  for (let index = 0; index < count; index++) {
    if (at + 46 > end || view.getUint32(at, true) !== directoryEntry) throw refused("a zip directory that is cut off")
    const [nameSize, extraSize, commentSize] = [28, 30, 32].map((from) => view.getUint16(at + from, true))
    const next = at + 46 + (nameSize ?? 0) + (extraSize ?? 0) + (commentSize ?? 0)
    if (next > end) throw refused("a zip directory that is cut off")
    entries.push({
      name: nameIn(bytes, at + 46, nameSize ?? 0),
      method: requirePlain(view.getUint16(at + 8, true), view.getUint16(at + 10, true)),
      crc: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      offset: view.getUint32(at + 42, true),
    })
    at = next
  }
  if (at !== end) throw refused("a zip directory with something behind its entries")
  return entries
}

/** Where the member's bytes are. The local header has to agree, but for sizes that stand behind the bytes. */
function dataOf(view: DataView, bytes: Uint8Array, entry: Entry, most: number): { start: number; end: number } {
  const { name, method, crc, packed, size, offset } = entry
  if (offset + 30 > most || view.getUint32(offset, true) !== localHeader) throw refused(`member ${name} has no header`)
  const [flags, ownMethod] = [view.getUint16(offset + 6, true), view.getUint16(offset + 8, true)]
  requirePlain(flags, ownMethod)
  const [nameSize, extraSize] = [view.getUint16(offset + 26, true), view.getUint16(offset + 28, true)]
  const start = offset + 30 + nameSize + extraSize
  const end = start + packed
  const isLater = (flags & 8) !== 0
  const same =
    ownMethod === method &&
    end <= most &&
    nameIn(bytes, offset + 30, nameSize) === name &&
    (isLater ||
      (view.getUint32(offset + 14, true) === crc &&
        view.getUint32(offset + 18, true) === packed &&
        view.getUint32(offset + 22, true) === size))
  if (!same) throw refused(`member ${name} is not what the zip directory says`)
  if (method === 0 ? size !== packed : size > packed * maxRatio)
    throw refused(`member ${name} of ${packed} bytes says that it becomes ${size}`)
  return { start, end }
}

/** Encryption, patches and the 64-bit form have flags or methods of their own; sizes of 2^32-1 lead nowhere. */
function requirePlain(flags: number, method: number): number {
  if ((method === 0 || method === 8) && (flags & ~0x080e) === 0) return method
  throw refused(`a zip member of method ${method} with the flags ${flags}: stored and deflated ones are read`)
}

function nameIn(bytes: Uint8Array, at: number, size: number): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(at, at + size))
  } catch (cause) {
    throw refused("a zip member whose name is not UTF-8", { cause })
  }
}

function unpack(bytes: Uint8Array<ArrayBuffer>, { name, method, crc, size }: Entry): Uint8Array<ArrayBuffer> {
  const content = method === 0 ? bytes : inflate(bytes, name, size)
  if (content.length !== size || crc32(content) !== crc) throw refused(`member ${name} is not what its checksum says`)
  return content
}

function inflate(bytes: Uint8Array, name: string, size: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(inflateRawSync(bytes, { maxOutputLength: Math.max(1, size) }))
  } catch (cause) {
    throw refused(`member ${name} can't be inflated: ${messageOf(cause)}`, { cause })
  }
}
