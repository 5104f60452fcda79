/**
 * One TensorProto: its numbers lie in this file, and are as many as its shape says.
 *
 *     dims [3, 2], data_type FLOAT, raw_data of 24 bytes
 */
import { refused } from "../../errors.ts"
import { countInts, type FieldValue, readFields, readInts, readText, type Span } from "./protobuf.ts"
import { elementTypes, tensorSchema } from "./schemas.ts"

export interface TensorFacts {
  readonly name: string
  readonly elements: number
  /** The numbers of a short list of int64, such as a shape; else `null`. */
  readonly integers: readonly number[] | null
}

const maxRank = 32
const longestShape = 16

/** Which field may hold the elements of a type, beside raw_data. */
const fieldOf: Readonly<Record<number, string>> = {
  4: "float",
  5: "int32",
  6: "string",
  7: "int64",
  10: "double",
  11: "uint64",
}
const typesIn: Readonly<Record<string, readonly string[]>> = {
  float: ["float32", "complex64"],
  int64: ["int64"],
  string: ["string"],
  double: ["float64", "complex128"],
  uint64: ["uint32", "uint64"],
}

class Tensor {
  name = ""
  type = 0
  readonly dims: number[] = []
  raw: Span | null = null
  /** Entries in a typed field. */
  entries = 0
  field: string | null = null
  ints: Span | null = null
  isExternal = false
}

/** `where`: the graph or attribute it stands in. Throws MODEL_REFUSED. */
export function checkTensor(span: Span, where: string): TensorFacts {
  const tensor = new Tensor()
  readFields(span, tensorSchema, (field, value) => take(tensor, field, value))
  const label = `${where}: tensor ${JSON.stringify(tensor.name)}`
  if (tensor.isExternal) {
    throw refused(`${label} lies in another file (external data), which would be read from the disk unverified`, {
      hint: "save the model as one file: onnx.save(onnx.load(PATH), NEW_PATH, save_as_external_data=False)",
    })
  }
  const [type, bits] = elementTypes[tensor.type] ?? []
  if (type === undefined || bits === undefined) throw refused(`${label} has the unknown element type ${tensor.type}`)
  const elements = countElements(tensor.dims, label)
  requireBytes(tensor, type, bits, elements, label)
  return { name: tensor.name, elements, integers: type === "int64" ? shortList(tensor, elements) : null }
}

function take(tensor: Tensor, field: number, value: FieldValue): void {
  const span = typeof value === "number" ? null : value
  if (field === 1) tensor.dims.push(...(span ? readInts(short(span), "dims") : [Number(value)]))
  else if (field === 2) tensor.type = Number(value)
  else if (field === 3) throw refused("a tensor in segments is not supported")
  else if (field === 8 && span) tensor.name = readText(span, "a tensor's name")
  else if (field === 9) tensor.raw = span
  else if (field === 13) tensor.isExternal = true
  else if (field === 14) tensor.isExternal ||= value !== 0
  else if (fieldOf[field] !== undefined) takeEntries(tensor, fieldOf[field], value)
}

function takeEntries(tensor: Tensor, field: string, value: FieldValue): void {
  if (tensor.field !== null && tensor.field !== field)
    throw refused(`a tensor has ${tensor.field}_data and ${field}_data`)
  tensor.field = field
  if (typeof value === "number" || field === "string") tensor.entries += 1
  else if (field === "float") tensor.entries += entriesOf(value, 4)
  else if (field === "double") tensor.entries += entriesOf(value, 8)
  else {
    tensor.entries += countInts(value, `${field}_data`)
    tensor.ints = tensor.ints === null ? value : null
  }
}

function entriesOf({ start, end }: Span, width: number): number {
  if ((end - start) % width !== 0) throw refused("a packed list ends within a number")
  return (end - start) / width
}

function short(span: Span): Span {
  if (span.end - span.start > 10 * maxRank) throw refused(`a tensor of more than ${maxRank} dimensions`)
  return span
}

function countElements(dims: readonly number[], label: string): number {
  if (dims.length > maxRank) throw refused(`${label} has more than ${maxRank} dimensions`)
  const elements = dims.reduce((product, size) => product * size, 1)
  if (dims.every((size) => Number.isSafeInteger(size) && size >= 0) && Number.isSafeInteger(elements)) return elements
  throw refused(`${label} has the shape [${dims.join(",")}]`)
}

function requireBytes(tensor: Tensor, type: string, bits: number, elements: number, label: string): void {
  const { raw, field, entries } = tensor
  if (raw !== null && field !== null) throw refused(`${label} has raw_data and ${field}_data`)
  if (raw !== null) {
    const wanted = Math.ceil((elements * bits) / 8)
    const found = raw.end - raw.start
    if (type === "string" || found !== wanted) throw refused(`${label} needs ${wanted} bytes, and has ${found}`)
    return
  }
  const wanted = entriesFor(type, bits, elements)
  const fits = field === null || (typesIn[field] ?? smallTypes).includes(type)
  if (!fits || entries !== wanted) throw refused(`${label} needs ${wanted} numbers of ${type}, and has ${entries}`)
}

const smallTypes = Object.values(elementTypes).flatMap(([name, bits]) =>
  name !== "string" && name !== "float32" && name !== "uint32" && bits <= 32 ? [name] : [],
)

/** Entries of the typed field: complex numbers take two, and several small ones share one. */
function entriesFor(type: string, bits: number, elements: number): number {
  if (type.startsWith("complex")) return 2 * elements
  return bits > 0 && bits < 8 ? Math.ceil((elements * bits) / 8) : elements
}

function shortList({ raw, ints, entries }: Tensor, elements: number): readonly number[] | null {
  if (elements > longestShape) return null
  if (raw !== null) {
    const view = new DataView(raw.bytes.buffer, raw.bytes.byteOffset + raw.start, raw.end - raw.start)
    return Array.from({ length: elements }, (_, at) => Number(view.getBigInt64(8 * at, true)))
  }
  return ints !== null && entries === elements ? readInts(ints, "int64_data") : null
}
