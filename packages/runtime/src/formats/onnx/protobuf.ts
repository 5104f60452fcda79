/**
 * A strict reader of protobuf's wire format (protobuf.dev/programming-guides/encoding), which builds nothing.
 *
 *     const schema = schemaOf("OperatorSetIdProto", { 1: "bytes", 2: "int" })
 *     readFields(message, schema, (field, value) => …)      // 08 07 is not read as domain: refused
 *
 * Stricter than protobuf: a field that is not in the schema, another wire type than the schema's, a field that is not
 * repeated twice, groups, and integers longer than ten bytes are refused. What is read here and what a library reads
 * afterwards can then not differ.
 */
import { refused } from "../../errors.ts"

/** A range of bytes: one message, text or packed list. */
export interface Span {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

/** A trailing `*` is a repeated field; numbers of those may be packed into one span. */
export type FieldKind = "int" | "int*" | "float" | "float*" | "double" | "double*" | "bytes" | "bytes*"

export interface Schema {
  readonly name: string
  readonly fields: readonly (FieldKind | undefined)[]
}

/** An integer, rounded to a double beyond 2^53; or where the field's bytes lie. */
export type FieldValue = number | Span

const wireTypes = { int: 0, double: 1, bytes: 2, float: 5 } as const

export function schemaOf(name: string, fields: Readonly<Record<number, FieldKind>>): Schema {
  const byNumber: FieldKind[] = []
  for (const [number, kind] of Object.entries(fields)) byNumber[Number(number)] = kind
  return { name, fields: byNumber }
}

/** Throws MODEL_REFUSED. */
export function readFields(
  { bytes, start, end }: Span,
  { name, fields }: Schema,
  on: (field: number, value: FieldValue) => void,
): void {
  let at = start
  let seen = 0
  const int = (): number => {
    const { value, next } = readInt(bytes, at, end, name)
    at = next
    return value
  }
  while (at < end) {
    const tag = int()
    const [field, wire] = [Math.floor(tag / 8), tag % 8]
    const kind = fields[field]
    if (kind === undefined) throw refused(`${name} has a field ${field}, which this version does not know`)
    const isRepeated = kind.endsWith("*")
    const single = kind.replace("*", "") as keyof typeof wireTypes
    const isPacked = isRepeated && wire === 2 && single !== "bytes"
    if (wire !== wireTypes[single] && !isPacked) throw refused(`${name}: field ${field} has the wire type ${wire}`)
    if (!isRepeated && seen & (1 << field)) throw refused(`${name} has its field ${field} twice`)
    seen |= 1 << field // no message has a field beyond 31 that may stand once
    if (wire === 0) on(field, int())
    else {
      const length = wire === 2 ? int() : wire === 5 ? 4 : 8
      if (!(length <= end - at)) throw refused(`${name}: field ${field} ends beyond its message`)
      on(field, { bytes, start: at, end: at + length })
      at += length
    }
  }
}

/** How many integers are packed here. Throws MODEL_REFUSED. */
export function countInts({ bytes, start, end }: Span, name: string): number {
  let count = 0
  for (let at = start; at < end; count++) at = readInt(bytes, at, end, name).next
  return count
}

/** The integers packed here. Throws MODEL_REFUSED. */
export function readInts({ bytes, start, end }: Span, name: string): number[] {
  const values: number[] = []
  for (let at = start; at < end;) {
    const { value, next } = readInt(bytes, at, end, name)
    values.push(value)
    at = next
  }
  return values
}

/** Throws MODEL_REFUSED for what is not UTF-8, or longer than `most` bytes. */
export function readText({ bytes, start, end }: Span, name: string, most = 65_536): string {
  if (end - start > most) throw refused(`${name} has a text of ${end - start} bytes; at most ${most} are accepted`)
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(start, end))
  } catch (cause) {
    throw refused(`${name} has a text that is not UTF-8`, { cause })
  }
}

// The tenth byte holds one bit.
function readInt(bytes: Uint8Array, from: number, end: number, name: string): { value: number; next: number } {
  let [value, scale] = [0, 1]
  for (let at = from; at < end && at < from + 10; at++, scale *= 128) {
    const byte = bytes[at] ?? 0
    value += (byte & 0x7f) * scale
    if (byte >= 0x80) continue
    if (at === from + 9 && byte > 1) break
    return { value: at === from + 9 ? signed(bytes, from) : value, next: at + 1 }
  }
  throw refused(`${name} has an integer that does not end`)
}

/** Of ten bytes, two's complement. */
function signed(bytes: Uint8Array, from: number): number {
  let value = 0n
  for (let at = 9; at >= 0; at--) value = (value << 7n) | BigInt((bytes[from + at] ?? 0) & 0x7f)
  return Number(BigInt.asIntN(64, value))
}
