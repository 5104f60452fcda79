/** Inputs and outputs of a graph: names, element types and shapes. */
import { refused } from "../../errors.ts"
import { readFields, readText, type Span } from "./protobuf.ts"
import { dimensionSchema, elementTypes, shapeSchema, tensorTypeSchema, typeSchema, valueInfoSchema } from "./schemas.ts"

export interface ValueInfo {
  readonly name: string
  readonly type: ValueType
}

export type ValueType =
  | { readonly kind: "tensor"; readonly dtype: string | null; readonly shape: readonly (number | null)[] | null }
  | { readonly kind: "sequence" | "map" | "opaque" | "sparse tensor" | "optional" | "unknown" }

const maxRank = 32
/** Types of types: a sequence of maps of tensors. */
const maxDepth = 8

/** Throws MODEL_REFUSED. */
export function readValueInfo(span: Span): ValueInfo {
  let name = ""
  let type: ValueType = { kind: "unknown" }
  readFields(span, valueInfoSchema, (field, value) => {
    if (typeof value === "number") return
    if (field === 1) name = readText(value, "a value's name")
    else if (field === 2) type = checkType(value)
  })
  return { name, type }
}

/** Throws MODEL_REFUSED. */
export function checkType(span: Span, depth = 1): ValueType {
  if (depth > maxDepth) throw refused(`a type lies more than ${maxDepth} deep in others`)
  let found: ValueType | null = null
  readFields(span, typeSchema, (field, value) => {
    if (typeof value === "number" || field === 6) return
    if (found !== null) throw refused("a value has two types")
    found = typeIn(field, value, depth)
  })
  return found ?? { kind: "unknown" }
}

// What is no tensor is refused where it is an input or an output of the model; inside, the runtime may have it.
function typeIn(field: number, value: Span, depth: number): ValueType {
  if (field === 1) return tensorType(value)
  if (field === 4) return { kind: "sequence" }
  if (field === 5) return { kind: "map" }
  if (field === 7) return { kind: "opaque" }
  if (field === 8) return { kind: "sparse tensor" }
  if (depth > maxDepth) throw refused("a type has no end")
  return { kind: "optional" }
}

function tensorType(span: Span): ValueType {
  let dtype: string | null = null
  let shape: (number | null)[] | null = null
  readFields(span, tensorTypeSchema, (field, value) => {
    if (field === 1) dtype = elementTypes[Number(value)]?.[0] ?? null
    else if (typeof value !== "number") shape = readShape(value)
  })
  return { kind: "tensor", dtype, shape }
}

function readShape(span: Span): (number | null)[] {
  const sizes: (number | null)[] = []
  readFields(span, shapeSchema, (_, value) => {
    if (typeof value !== "number") sizes.push(readDimension(value))
  })
  if (sizes.length > maxRank) throw refused(`a value has more than ${maxRank} dimensions`)
  return sizes
}

function readDimension(span: Span): number | null {
  let size: number | null = null
  readFields(span, dimensionSchema, (field, value) => {
    if (field !== 1) return
    // 0 and -1 are what some exporters write for "any".
    size = Number(value) > 0 ? Number(value) : null
  })
  if (size !== null && !Number.isSafeInteger(size)) throw refused(`a dimension of ${String(size)}`)
  return size
}
