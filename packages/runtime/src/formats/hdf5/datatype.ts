/** Element types and shapes (HDF5 File Format Specification 3.0, IV.A.2.b and IV.A.2.d). */
import { refused } from "../../errors.ts"
import type { FileBytes } from "./bytes.ts"

export type Datatype =
  | { readonly kind: "int" | "uint" | "float"; readonly size: number }
  /** So many bytes each, padded with zeros or spaces. */
  | { readonly kind: "string"; readonly size: number }
  /** 16 bytes each: the length, and where in the global heap the bytes are. */
  | { readonly kind: "text"; readonly size: 16 }
  /** What no weight is: compounds, references, enumerations, lists … */
  | { readonly kind: "other"; readonly size: number }

export interface Dataspace {
  readonly shape: readonly number[]
  readonly elements: number
}

const maxRank = 32

/** Throws MODEL_REFUSED. */
export function readDatatype(file: FileBytes, at: number, end: number): Datatype {
  if (at + 8 > end) throw refused("an element type that is cut off")
  const [kind, bits, size] = [file.u8(at) & 0x0f, file.u8(at + 1), file.u32(at + 4)]
  if (size === 0) throw refused("elements of no bytes")
  if (kind === 0 || kind === 1) return readNumber(file, at, end, kind, bits, size)
  if (kind === 3) return { kind: "string", size }
  if (kind === 9 && (bits & 0x0f) === 1 && size === 16) return { kind: "text", size }
  return { kind: "other", size }
}

// All bits of every byte, in the order of this machine: nothing is converted.
function readNumber(file: FileBytes, at: number, end: number, kind: 0 | 1, bits: number, size: number): Datatype {
  if (at + 12 > end) throw refused("an element type that is cut off")
  const [offset, precision] = [file.u16(at + 8), file.u16(at + 10)]
  const isBigEndian = bits & 1 || (kind === 1 && bits & 0x40)
  if (isBigEndian || offset !== 0 || precision !== 8 * size) return { kind: "other", size }
  if (kind === 0) return { kind: bits & 8 ? "int" : "uint", size }
  if (at + 20 > end) throw refused("an element type that is cut off")
  const [exponentAt, exponentBits, mantissaAt, mantissaBits] = [12, 13, 14, 15].map((from) => file.u8(at + from))
  const bias = file.u32(at + 16)
  const isIeee = ieee.some(
    (form) => form.join() === [size, exponentAt, exponentBits, mantissaAt, mantissaBits, bias].join(),
  )
  return isIeee ? { kind: "float", size } : { kind: "other", size }
}

/** Bytes; exponent's place and bits; mantissa's place and bits; bias. */
const ieee = [
  [2, 10, 5, 0, 10, 15],
  [4, 23, 8, 0, 23, 127],
  [8, 52, 11, 0, 52, 1023],
]

/** Throws MODEL_REFUSED. */
export function readDataspace(file: FileBytes, at: number, end: number): Dataspace {
  const [version, rank] = [file.u8(at), file.u8(at + 1)]
  if (version !== 1 && version !== 2) throw refused(`a shape of version ${version}`)
  if (rank > maxRank) throw refused(`more than ${maxRank} dimensions`)
  if (version === 2 && file.u8(at + 3) === 2) return { shape: [0], elements: 0 } // a null dataspace
  const from = at + (version === 1 ? 8 : 4)
  if (from + 8 * rank > end) throw refused("a shape that is cut off")
  const shape = Array.from({ length: rank }, (_, axis) => file.u64(from + 8 * axis))
  const elements = shape.reduce((product, size) => product * size, 1)
  if (!Number.isSafeInteger(elements)) throw refused(`the shape [${shape.join(",")}]`)
  return { shape, elements }
}
