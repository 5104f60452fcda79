/**
 * Writes ONNX files, right and wrong ones: protobuf by hand, so that every field can be anything.
 *
 *     model({ graph: graph({ nodes: [node("Relu", ["x"], ["y"])], inputs: [value("x", 1, [null, 2])], … }) })
 */

export type Bytes = Uint8Array<ArrayBuffer>

export function varint(value: number | bigint): Bytes {
  let left = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  do {
    bytes.push(Number(left & 0x7fn) | (left > 0x7fn ? 0x80 : 0))
    left >>= 7n
  } while (left > 0n)
  return Uint8Array.from(bytes)
}

export function join(...parts: readonly Uint8Array[]): Bytes {
  return new Uint8Array(Buffer.concat(parts))
}

export function int(field: number, value: number | bigint): Bytes {
  return join(varint(field << 3), varint(value))
}

/** A length-delimited field: a message, bytes or a text. */
export function part(field: number, content: Uint8Array | string): Bytes {
  const bytes = typeof content === "string" ? Buffer.from(content) : content
  return join(varint((field << 3) | 2), varint(bytes.length), bytes)
}

export const types = {
  float: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  half: 10,
  double: 11,
} as const

export interface TensorParts {
  readonly name?: string
  readonly dims: readonly (number | bigint)[]
  readonly type?: number
  readonly raw?: Uint8Array
  /** More fields, as they are. */
  readonly more?: Uint8Array
}

export function tensor({ name = "w", dims, type = types.float, raw, more }: TensorParts): Bytes {
  return join(
    ...dims.map((size) => int(1, size)),
    int(2, type),
    part(8, name),
    ...(raw === undefined ? [] : [part(9, raw)]),
    ...(more === undefined ? [] : [more]),
  )
}

export function floats(name: string, dims: readonly number[], values: readonly number[]): Bytes {
  return tensor({ name, dims, raw: new Uint8Array(Float32Array.from(values).buffer) })
}

export function longs(name: string, dims: readonly number[], values: readonly (number | bigint)[]): Bytes {
  return tensor({ name, dims, type: types.int64, raw: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer) })
}

/** `null` is a dimension of any size, `"n"` one with a name. */
export function value(name: string, type: number, dims: readonly (number | string | null)[] | null): Bytes {
  const sizes = (dims ?? []).map((size) =>
    part(1, size === null ? join() : typeof size === "string" ? part(2, size) : int(1, size)),
  )
  const tensorType = join(int(1, type), ...(dims === null ? [] : [part(2, join(...sizes))]))
  return join(part(1, name), part(2, part(1, tensorType)))
}

export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  { domain, attributes = [] }: { readonly domain?: string; readonly attributes?: readonly Uint8Array[] } = {},
): Bytes {
  return join(
    ...inputs.map((name) => part(1, name)),
    ...outputs.map((name) => part(2, name)),
    part(4, op),
    ...attributes.map((attribute) => part(5, attribute)),
    ...(domain === undefined ? [] : [part(7, domain)]),
  )
}

export function intAttribute(name: string, value_: number): Bytes {
  return join(part(1, name), int(3, value_), int(20, 2))
}
export function intsAttribute(name: string, values: readonly (number | bigint)[]): Bytes {
  return join(part(1, name), ...values.map((one) => int(8, one)), int(20, 7))
}
export function tensorAttribute(name: string, content: Uint8Array): Bytes {
  return join(part(1, name), part(5, content), int(20, 4))
}
export function graphAttribute(name: string, content: Uint8Array): Bytes {
  return join(part(1, name), part(6, content), int(20, 5))
}

export interface GraphParts {
  readonly nodes: readonly Uint8Array[]
  readonly inputs: readonly Uint8Array[]
  readonly outputs: readonly Uint8Array[]
  readonly initializers?: readonly Uint8Array[]
  readonly more?: Uint8Array
}

export function graph({ nodes, inputs, outputs, initializers = [], more }: GraphParts): Bytes {
  return join(
    ...nodes.map((one) => part(1, one)),
    part(2, "graph"),
    ...initializers.map((one) => part(5, one)),
    ...inputs.map((one) => part(11, one)),
    ...outputs.map((one) => part(12, one)),
    ...(more === undefined ? [] : [more]),
  )
}

export function opset(version: number, domain = ""): Bytes {
  return join(...(domain === "" ? [] : [part(1, domain)]), int(2, version))
}

export interface ModelParts {
  readonly graph: Uint8Array
  readonly opsets?: readonly Uint8Array[]
  readonly more?: Uint8Array
}

export function model({ graph: content, opsets = [opset(17)], more }: ModelParts): Bytes {
  return join(int(1, 8), ...opsets.map((one) => part(8, one)), part(7, content), ...(more === undefined ? [] : [more]))
}

/** y = softmax(x·w + b), of two numbers to three. */
export function smallNetwork(batch: number | string | null = "n"): Bytes {
  return model({
    graph: graph({
      nodes: [
        node("Gemm", ["x", "w", "b"], ["h"]),
        node("Softmax", ["h"], ["prob"], { attributes: [intAttribute("axis", -1)] }),
      ],
      inputs: [value("x", types.float, [batch, 2])],
      outputs: [value("prob", types.float, [batch, 3])],
      initializers: [floats("w", [2, 3], [1, 2, 3, 4, 5, 6]), floats("b", [3], [0.5, 0, -0.5])],
    }),
  })
}
