/**
 * The messages of an object's header (HDF5 File Format Specification 3.0, IV.A): what a group or a dataset is made of.
 * Both versions, with their continuation blocks; shared messages are not followed.
 */
import { refused } from "../../errors.ts"
import type { FileBytes } from "./bytes.ts"

export interface Message {
  readonly type: number
  readonly start: number
  readonly end: number
}

const maxMessages = 100_000
const maxBlocks = 10_000
const continuation = 0x10

interface Block {
  readonly start: number
  readonly end: number
}

/** Throws MODEL_REFUSED. */
export function readHeader(file: FileBytes, address: number): Message[] {
  const isNew = file.length >= address + 4 && Buffer.from(file.range(address, 4)).toString("latin1") === "OHDR"
  return isNew ? readVersion2(file, address) : readVersion1(file, address)
}

function readVersion1(file: FileBytes, address: number): Message[] {
  if (file.u8(address) !== 1) throw refused(`no object header at byte ${address}`)
  const count = file.u16(address + 2)
  const size = file.u32(address + 8)
  const messages: Message[] = []
  let left = count
  walkBlocks({ start: address + 16, end: address + 16 + size }, ({ start, end }, more) => {
    file.range(start, end - start)
    for (let at = start; at + 8 <= end && left > 0; left--) {
      const [type, length, flags] = [file.u16(at), file.u16(at + 2), file.u8(at + 4)]
      at = take(file, messages, more, { type, flags, start: at + 8, end: at + 8 + length }, end)
    }
  })
  return messages
}

function readVersion2(file: FileBytes, address: number): Message[] {
  if (file.u8(address + 4) !== 2) throw refused(`an object header of version ${file.u8(address + 4)}`)
  const flags = file.u8(address + 5)
  const sizeAt = address + 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0)
  const width = 2 ** (flags & 3)
  const start = sizeAt + width
  const ordered = flags & 4 ? 2 : 0
  const messages: Message[] = []
  walkBlocks({ start, end: start + file.uint(sizeAt, width) }, (block, more, isFirst) => {
    if (!isFirst) file.requireSignature(block.start, "OCHK")
    // A block's checksum follows the first, and ends the others.
    const [from, to] = isFirst ? [block.start, block.end] : [block.start + 4, block.end - 4]
    file.range(from, to - from)
    for (let at = from; at + 4 + ordered <= to;) {
      const [type, length, of] = [file.u8(at), file.u16(at + 1), file.u8(at + 3)]
      const begin = at + 4 + ordered
      at = take(file, messages, more, { type, flags: of, start: begin, end: begin + length }, to)
    }
  })
  return messages
}

/** Where the next message begins. */
function take(
  file: FileBytes,
  messages: Message[],
  more: Block[],
  { type, flags, start, end }: Message & { readonly flags: number },
  limit: number,
): number {
  if (end > limit) throw refused(`a message ends beyond its header, at byte ${end}`)
  if (messages.length >= maxMessages) throw refused(`an object of more than ${maxMessages} messages`)
  if (flags & 2) throw refused("it shares types between objects, which is not supported")
  if (type === continuation) {
    const [at, length] = [file.u64(start), file.u64(start + 8)]
    more.push({ start: at, end: at + length })
  } else if (type !== 0) messages.push({ type, start, end })
  return end
}

function walkBlocks(first: Block, read: (block: Block, more: Block[], isFirst: boolean) => void): void {
  const seen = new Set<number>()
  const open = [first]
  for (let block = open.shift(); block !== undefined; block = open.shift()) {
    if (seen.has(block.start) || seen.size >= maxBlocks) throw refused("an object header that continues in itself")
    seen.add(block.start)
    read(block, open, block === first)
  }
}
