/** Attributes (HDF5 File Format Specification 3.0, IV.A.2.m): of strings, what Keras writes. */
import { refused } from "../../errors.ts"
import { decodeText, type FileBytes } from "./bytes.ts"
import { type Datatype, readDataspace, readDatatype } from "./datatype.ts"

export interface Attribute {
  readonly name: string
  /** `null` for one that holds no strings. */
  readonly texts: readonly string[] | null
  /** A single string, not a list of one. */
  readonly isScalar: boolean
}

/** Strings of all attributes together: a file of a few bytes could repeat one that is long. */
export class TextBudget {
  #left: number
  constructor(bytes: number) {
    this.#left = bytes
  }
  spend(bytes: number): void {
    this.#left -= bytes
    if (this.#left < 0) throw refused("its attributes repeat more text than the file holds")
  }
}

/** Throws MODEL_REFUSED. */
export function readAttribute(file: FileBytes, start: number, end: number, budget: TextBudget): Attribute {
  const version = file.u8(start)
  if (version < 1 || version > 3) throw refused(`an attribute of version ${version}`)
  if (version > 1 && file.u8(start + 1) !== 0) throw refused("an attribute with a shared type is not supported")
  const [nameSize, typeSize, spaceSize] = [file.u16(start + 2), file.u16(start + 4), file.u16(start + 6)]
  const padded = (size: number): number => (version === 1 ? Math.ceil(size / 8) * 8 : size)
  const nameAt = start + (version === 3 ? 9 : 8)
  const typeAt = nameAt + padded(nameSize)
  const spaceAt = typeAt + padded(typeSize)
  const dataAt = spaceAt + padded(spaceSize)
  if (dataAt > end) throw refused("an attribute that is cut off")
  const name = file.text(nameAt, nameAt + nameSize)
  const type = readDatatype(file, typeAt, typeAt + typeSize)
  const { shape, elements } = readDataspace(file, spaceAt, spaceAt + spaceSize)
  if (elements * type.size > end - dataAt)
    throw refused(`attribute ${JSON.stringify(name)} has fewer bytes than its shape`)
  const isText = type.kind === "string" || type.kind === "text"
  // A list of nothing is written as numbers.
  const texts = elements === 0 ? [] : isText ? readTexts(file, dataAt, type, elements, budget) : null
  return { name, texts, isScalar: shape.length === 0 }
}

function readTexts(
  file: FileBytes,
  from: number,
  { kind, size }: Datatype,
  count: number,
  budget: TextBudget,
): string[] {
  return Array.from({ length: count }, (_, index) => {
    const at = from + index * size
    const bytes = kind === "text" ? heapObject(file, at) : file.range(at, size)
    budget.spend(bytes.length)
    const zero = bytes.indexOf(0)
    return decodeText(zero < 0 ? bytes : bytes.subarray(0, zero))
  })
}

/** Of the global heap (III.E): the length, the address of a collection, the index of an object in it. */
function heapObject(file: FileBytes, at: number): Uint8Array {
  const [length, address, wanted] = [file.u32(at), file.address(at + 4), file.u32(at + 12)]
  if (length === 0) return new Uint8Array(0)
  file.requireSignature(address, "GCOL")
  const end = address + file.u64(address + 8)
  file.range(address, end - address)
  for (let from = address + 16; from + 16 <= end;) {
    const [index, size] = [file.u16(from), file.u64(from + 8)]
    if (index === wanted) {
      if (length > size || from + 16 + size > end) throw refused("a string longer than its place in the heap")
      return file.range(from + 16, length)
    }
    if (index === 0) break
    from += 16 + Math.ceil(size / 8) * 8
  }
  throw refused(`the heap at byte ${address} has no string ${wanted}`)
}
