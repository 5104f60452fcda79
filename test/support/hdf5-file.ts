/**
 * Writes HDF5 files as Keras does, right and wrong ones (HDF5 File Format Specification 3.0: superblock 0, object headers of
 * version 1, groups with a symbol table, datasets in one piece).
 *
 *     hdf5({ attributes: { model_config: "{…}" }, members: { kernel: dataset([2, 3], new Float32Array(6)) } })
 */

export type Bytes = Uint8Array<ArrayBuffer>

export interface GroupParts {
  /** A text, or a list of texts. */
  readonly attributes?: Readonly<Record<string, string | readonly string[]>>
  readonly members?: Readonly<Record<string, GroupParts | DatasetParts | LinkParts>>
  /** More messages of the header. */
  readonly messages?: readonly Message[]
}

export interface DatasetParts {
  readonly shape: readonly number[]
  readonly type: Uint8Array
  readonly data: Uint8Array
  readonly messages?: readonly Message[]
  /** In the place of the usual layout message. */
  readonly layout?: (address: number, size: number) => Uint8Array
  readonly attributes?: GroupParts["attributes"]
}

export interface LinkParts {
  /** The address of another object's header, or a soft link's cache type. */
  readonly link: number | "soft"
}

export interface Message {
  readonly type: number
  readonly flags?: number
  readonly body: Uint8Array
}

export const undefinedAddress = 2n ** 64n - 1n

/** Numbers of one to eight bytes, little-endian. */
export function le(size: number, ...values: readonly (number | bigint)[]): Bytes {
  const bytes = Buffer.alloc(size * values.length)
  values.forEach((value, index) => {
    let left = BigInt.asUintN(64, BigInt(value))
    for (let at = 0; at < size; at++, left >>= 8n) bytes[index * size + at] = Number(left & 0xffn)
  })
  return new Uint8Array(bytes)
}

export function join(...parts: readonly Uint8Array[]): Bytes {
  return new Uint8Array(Buffer.concat(parts))
}

const pad = (bytes: Uint8Array, to = 8): Bytes =>
  join(bytes, new Uint8Array(Math.ceil(bytes.length / to) * to - bytes.length))

export const float32Type = join(le(1, 0x11, 0x20, 0x1f, 0), le(4, 4), le(2, 0, 32), le(1, 23, 8, 0, 23), le(4, 127))
export const float64Type = join(le(1, 0x11, 0x20, 0x3f, 0), le(4, 8), le(2, 0, 64), le(1, 52, 11, 0, 52), le(4, 1023))
export const int32Type = join(le(1, 0x10, 0x08, 0, 0), le(4, 4), le(2, 0, 32))
export const int64Type = join(le(1, 0x10, 0x08, 0, 0), le(4, 8), le(2, 0, 64))
const fixedText = (size: number): Bytes => join(le(1, 0x13, 0, 0, 0), le(4, size))

export const dataspace = (shape: readonly number[]): Bytes =>
  join(le(1, 1, shape.length, 0, 0), le(4, 0), le(8, ...shape))

export function dataset(shape: readonly number[], values: Float32Array | Int32Array | Float64Array): DatasetParts {
  const type = values instanceof Float32Array ? float32Type : values instanceof Int32Array ? int32Type : float64Type
  return { shape, type, data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) }
}

/** An attribute message of version 1. */
export function attribute(name: string, content: string | readonly string[]): Message {
  const texts = typeof content === "string" ? [content] : content
  const size = Math.max(1, ...texts.map((text) => Buffer.byteLength(text)))
  const type = fixedText(size)
  const space = dataspace(typeof content === "string" ? [] : [texts.length])
  const data = join(...texts.map((text) => join(Buffer.from(text), new Uint8Array(size - Buffer.byteLength(text)))))
  const named = join(Buffer.from(name), le(1, 0))
  const head = join(le(1, 1, 0), le(2, named.length, type.length, space.length))
  return { type: 0x0c, body: join(head, pad(named), pad(type), pad(space), data) }
}

class Writer {
  readonly #parts: Uint8Array[] = []
  length = 0

  /** Its address. */
  add(bytes: Uint8Array): number {
    const at = this.length
    const padded = pad(bytes)
    this.#parts.push(padded)
    this.length += padded.length
    return at
  }

  bytes(): Bytes {
    return join(...this.#parts)
  }
}

export function hdf5(root: GroupParts): Bytes {
  const writer = new Writer()
  writer.add(new Uint8Array(96))
  const address = writeGroup(writer, root)
  const bytes = writer.bytes()
  const superblock = join(
    Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a),
    le(1, 0, 0, 0, 0, 0, 8, 8, 0),
    le(2, 4, 16),
    le(4, 0),
    le(8, 0, undefinedAddress, bytes.length, undefinedAddress),
    le(8, 0, address),
    le(4, 0, 0),
    new Uint8Array(16),
  )
  bytes.set(superblock)
  return bytes
}

// What a header's size field holds ends there: longer attributes are for a continuation, which Keras does not need.
function writeHeader(writer: Writer, messages: readonly Message[]): number {
  const body = join(
    ...messages.map(({ type, flags = 0, body: content }) => {
      const padded = pad(content)
      return join(le(2, type, padded.length), le(1, flags, 0, 0, 0), padded)
    }),
  )
  return writer.add(join(le(1, 1, 0), le(2, messages.length), le(4, 1, body.length, 0), body))
}

function attributesOf(attributes: GroupParts["attributes"] = {}): Message[] {
  return Object.entries(attributes).map(([name, content]) => attribute(name, content))
}

function writeGroup(writer: Writer, { attributes, members = {}, messages = [] }: GroupParts): number {
  const names = Object.keys(members).toSorted()
  let heap = new Uint8Array(8)
  const entries = names.map((name) => {
    const offset = heap.length
    heap = join(heap, pad(join(Buffer.from(name), le(1, 0))))
    const member = members[name]!
    const isSoft = "link" in member && member.link === "soft"
    const address =
      "link" in member
        ? isSoft
          ? undefinedAddress
          : member.link
        : "shape" in member
          ? writeDataset(writer, member)
          : writeGroup(writer, member)
    return join(le(8, offset, address as bigint), le(4, isSoft ? 2 : 0, 0), new Uint8Array(16))
  })
  const leaves: number[] = []
  for (let at = 0; at < entries.length || at === 0; at += 8) {
    const some = entries.slice(at, at + 8)
    leaves.push(
      writer.add(
        join(Buffer.from("SNOD"), le(1, 1, 0), le(2, some.length), ...some, new Uint8Array(40 * (8 - some.length))),
      ),
    )
  }
  const tree = writer.add(
    join(
      Buffer.from("TREE"),
      le(1, 0, 0),
      le(2, leaves.length),
      le(8, undefinedAddress, undefinedAddress),
      ...leaves.map((leaf) => le(8, 0, leaf)),
      le(8, 0),
    ),
  )
  const data = writer.add(heap)
  const names_ = writer.add(join(Buffer.from("HEAP"), le(1, 0, 0, 0, 0), le(8, heap.length, undefinedAddress, data)))
  return writeHeader(writer, [{ type: 0x11, body: le(8, tree, names_) }, ...attributesOf(attributes), ...messages])
}

function writeDataset(writer: Writer, { shape, type, data, messages = [], layout, attributes }: DatasetParts): number {
  const address = writer.add(data)
  const place = layout?.(address, data.length) ?? join(le(1, 3, 1), le(8, address, data.length))
  return writeHeader(writer, [
    { type: 0x01, body: dataspace(shape) },
    { type: 0x03, flags: 1, body: type },
    { type: 0x08, body: place },
    ...attributesOf(attributes),
    ...messages,
  ])
}
