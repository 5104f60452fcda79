/**
 * An HDF5 file (HDF5 File Format Specification 3.0), in the part that Keras writes, walked whole before anything of it is
 * used: groups, attributes of strings, datasets in one piece. Bytes are views of the file, nothing is copied or converted.
 *
 *     openHdf5(bytes).groups.get("model_weights")?.groups.get("dense")?.datasets.get("kernel:0")
 *
 * What leads out of the file or makes much out of little is refused: soft and external links, external storage, virtual
 * datasets, filters, a group within itself, shapes without their bytes.
 */
import { refused } from "../../errors.ts"
import { type Attribute, readAttribute, TextBudget } from "./attribute.ts"
import { FileBytes, nowhere } from "./bytes.ts"
import { type Dataset, readDataset } from "./dataset.ts"
import { type Link, readLinks } from "./group.ts"
import { readHeader } from "./object-header.ts"

export interface Group {
  readonly attributes: ReadonlyMap<string, Attribute>
  /** In the order of the file, which is that of their names. */
  readonly groups: ReadonlyMap<string, Group>
  readonly datasets: ReadonlyMap<string, Dataset>
}

const maxDepth = 64
const maxObjects = 500_000
const signature = Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a)
const [attribute, attributeInfo] = [0x0c, 0x15]

/** Throws MODEL_REFUSED. */
export function openHdf5(bytes: Uint8Array<ArrayBuffer>): Group {
  const file = new FileBytes(bytes)
  const walk: Walk = { file, seen: new Set(), budget: new TextBudget(bytes.length), stored: 0 }
  return readRoot(walk, rootOf(file))
}

interface Walk {
  readonly file: FileBytes
  /** Objects that have a place: an object with two could be large twice, or lie within itself. */
  readonly seen: Set<number>
  readonly budget: TextBudget
  stored: number
}

function rootOf(file: FileBytes): number {
  if (file.length < 64 || !signature.every((byte, at) => file.u8(at) === byte)) throw refused("it is no HDF5 file")
  const version = file.u8(8)
  if (version > 3) throw refused(`an HDF5 file of version ${version}`)
  const isOld = version < 2
  const [offsets, lengths] = isOld ? [file.u8(13), file.u8(14)] : [file.u8(9), file.u8(10)]
  if (offsets !== 8 || lengths !== 8) throw refused(`addresses of ${offsets} and lengths of ${lengths} bytes`)
  const baseAt = isOld ? 24 + (version === 1 ? 4 : 0) : 12
  const [base, end] = [file.address(baseAt), file.address(baseAt + 16)]
  if (base !== 0 || file.address(baseAt + 8) !== nowhere) throw refused("a file within a file, or one with extensions")
  if (end > file.length) throw refused(`it should have ${end} bytes, and has ${file.length}: it was cut off`)
  if (!isOld) return file.address(baseAt + 24)
  if (file.address(baseAt + 24) !== nowhere) throw refused("it is one of several files")
  return file.address(baseAt + 40)
}

type Messages = ReturnType<typeof readHeader>

function readRoot(walk: Walk, address: number): Group {
  const messages = readObject(walk, address, "/", 0)
  const links = readLinks(walk.file, messages)
  if (links === null) throw refused("its root is no group")
  return readGroup(walk, messages, links, "", 0)
}

function readGroup(walk: Walk, messages: Messages, links: readonly Link[], path: string, depth: number): Group {
  const groups = new Map<string, Group>()
  const datasets = new Map<string, Dataset>()
  for (const { name, address } of links) {
    const own = `${path}/${name}`
    if (groups.has(name) || datasets.has(name)) throw refused(`two members are called ${own}`)
    const inner = readObject(walk, address, own, depth + 1)
    const members = readLinks(walk.file, inner)
    if (members === null) datasets.set(name, takeDataset(walk, inner, own))
    else groups.set(name, readGroup(walk, inner, members, own, depth + 1))
  }
  return { attributes: readAttributes(walk, messages), groups, datasets }
}

function takeDataset(walk: Walk, messages: Messages, path: string): Dataset {
  readAttributes(walk, messages)
  const dataset = readDataset(walk.file, messages, path)
  walk.stored += dataset.bytes.length
  if (walk.stored > walk.file.length) throw refused("its datasets share bytes")
  return dataset
}

function readObject(walk: Walk, address: number, path: string, depth: number): Messages {
  if (depth > maxDepth) throw refused(`its groups lie more than ${maxDepth} deep in each other`)
  if (walk.seen.has(address)) throw refused(`${path} is an object that is somewhere else, too`)
  if (walk.seen.size >= maxObjects) throw refused(`it has more than ${maxObjects} objects`)
  walk.seen.add(address)
  return readHeader(walk.file, address)
}

function readAttributes({ file, budget }: Walk, messages: Messages): Map<string, Attribute> {
  const attributes = new Map<string, Attribute>()
  for (const { type, start, end } of messages) {
    if (type === attributeInfo) requireCompact(file, start)
    if (type !== attribute) continue
    const one = readAttribute(file, start, end, budget)
    if (attributes.has(one.name)) throw refused(`two attributes are called ${JSON.stringify(one.name)}`)
    attributes.set(one.name, one)
  }
  return attributes
}

function requireCompact(file: FileBytes, start: number): void {
  const heapAt = start + 2 + (file.u8(start + 1) & 1 ? 2 : 0)
  if (file.address(heapAt) === nowhere) return
  throw refused("an object stores its attributes in a form that Keras does not write (dense attributes)")
}
