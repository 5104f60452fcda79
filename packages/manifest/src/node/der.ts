/** Just enough DER (X.690) to write an encrypted PKCS#8 key and to see how dear its key derivation is. */

export function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content)
  return Buffer.concat([Uint8Array.of(tag), lengthOf(body.length), body])
}

export const sequence = (...members: readonly Uint8Array[]): Buffer => der(0x30, ...members)
export const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes)

/** Unsigned, at most 2^48. */
export function integer(value: number): Buffer {
  const bytes = Buffer.alloc(7)
  bytes.writeUIntBE(value, 1, 6)
  const first = bytes.findIndex((byte) => byte !== 0)
  const start = first < 0 ? 6 : first
  return der(0x02, bytes.subarray((bytes[start] ?? 0) >= 0x80 ? start - 1 : start))
}

/** `oid("1.2.840.113549.1.5.13")` */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number)
  return der(0x06, Uint8Array.from([40 * first + second, ...rest.flatMap(base128)]))
}

function base128(value: number): number[] {
  const digits = [value % 128]
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) digits.unshift(128 + (left % 128))
  return digits
}

function lengthOf(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length)
  return length < 0x100 ? Uint8Array.of(0x81, length) : Uint8Array.of(0x82, length >> 8, length & 0xff)
}

export interface DerValue {
  readonly tag: number
  readonly content: Buffer
}

/** The values that follow one another in `bytes`; throws a RangeError where lengths do not add up. */
export function readDer(bytes: Buffer): DerValue[] {
  const values: DerValue[] = []
  for (let at = 0; at < bytes.length;) {
    const tag = bytes.readUInt8(at)
    const first = bytes.readUInt8(at + 1)
    const extra = first < 0x80 ? 0 : first - 0x80
    if (extra > 4 || first === 0x80) throw new RangeError("a DER length we do not read")
    const length = extra === 0 ? first : bytes.readUIntBE(at + 2, extra)
    const start = at + 2 + extra
    if (start + length > bytes.length) throw new RangeError("a DER value ends outside its parent")
    values.push({ tag, content: bytes.subarray(start, start + length) })
    at = start + length
  }
  return values
}
