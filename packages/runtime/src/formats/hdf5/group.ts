/** The members of a group (HDF5 File Format Specification 3.0, III.A, III.B, III.D, IV.A.2.g): hard links only. */
import { refused } from "../../errors.ts"
import { type FileBytes, nowhere } from "./bytes.ts"
import type { Message } from "./object-header.ts"

export interface Link {
  readonly name: string
  /** Of the object's header. */
  readonly address: number
}

const maxLinks = 200_000
const maxLevel = 16
const [linkInfo, link, symbolTable] = [0x02, 0x06, 0x11]

/** `null` for what is no group. Throws MODEL_REFUSED. */
export function readLinks(file: FileBytes, messages: readonly Message[]): Link[] | null {
  const table = messages.find(({ type }) => type === symbolTable)
  const info = messages.find(({ type }) => type === linkInfo)
  if (table === undefined && info === undefined) return null
  if (info !== undefined) requireCompact(file, info)
  const links = messages.filter(({ type }) => type === link).map((message) => readLink(file, message))
  if (table !== undefined) readTable(file, file.address(table.start), file.address(table.start + 8), links)
  return links
}

function requireCompact(file: FileBytes, { start }: Message): void {
  const heapAt = start + 2 + (file.u8(start + 1) & 1 ? 8 : 0)
  if (file.address(heapAt) === nowhere) return
  throw refused("a group stores its members in a form that Keras does not write (dense links)", {
    hint: "save the model again with Keras",
  })
}

function readLink(file: FileBytes, { start, end }: Message): Link {
  const flags = file.u8(start + 1)
  if (file.u8(start) !== 1) throw refused(`a link of version ${file.u8(start)}`)
  let at = start + 2
  const type = flags & 8 ? file.u8(at++) : 0
  at += (flags & 4 ? 8 : 0) + (flags & 16 ? 1 : 0)
  const width = 2 ** (flags & 3)
  const length = file.uint(at, width)
  at += width
  if (at + length > end) throw refused("a link that is cut off")
  const name = file.text(at, at + length)
  if (type !== 0)
    throw refused(`${JSON.stringify(name)} is a ${type === 1 ? "soft" : "external"} link, not the object itself`)
  return { name, address: file.address(at + length) }
}

function readTable(file: FileBytes, tree: number, heap: number, links: Link[]): void {
  file.requireSignature(heap, "HEAP")
  const [size, data] = [file.u64(heap + 8), file.address(heap + 24)]
  file.range(data, size)
  const nameAt = (offset: number): string => file.text(data + Math.min(offset, size), data + size)
  readTree(file, tree, maxLevel, new Set(), (node) => readSymbols(file, node, nameAt, links))
}

function readTree(
  file: FileBytes,
  address: number,
  most: number,
  seen: Set<number>,
  onLeaf: (node: number) => void,
): void {
  if (seen.has(address)) throw refused("a group's index leads back to itself")
  seen.add(address)
  file.requireSignature(address, "TREE")
  const [type, level, entries] = [file.u8(address + 4), file.u8(address + 5), file.u16(address + 6)]
  if (type !== 0 || level >= most) throw refused(`a group's index of type ${type} and level ${level}`)
  for (let entry = 0; entry < entries; entry++) {
    const child = file.address(address + 24 + 16 * entry + 8)
    if (level === 0) onLeaf(child)
    else readTree(file, child, level, seen, onLeaf)
  }
}

function readSymbols(file: FileBytes, node: number, nameAt: (offset: number) => string, links: Link[]): void {
  file.requireSignature(node, "SNOD")
  const count = file.u16(node + 6)
  for (let at = node + 8; at < node + 8 + 40 * count; at += 40) {
    if (links.length >= maxLinks) throw refused(`a group of more than ${maxLinks} members`)
    const name = nameAt(file.u64(at))
    if (file.u32(at + 16) === 2) throw refused(`${JSON.stringify(name)} is a soft link, not the object itself`)
    links.push({ name, address: file.address(at + 8) })
  }
}
