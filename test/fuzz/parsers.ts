/** The parsers under fire, with real files of theirs and a way to write them wrong on purpose. */
import { openFormat } from "@weighlock/runtime/src/formats/format.ts"
import { openHdf5 } from "@weighlock/runtime/src/formats/hdf5/hdf5.ts"
import { openZip } from "@weighlock/runtime/src/formats/zip.ts"
import { readKerasModels } from "../keras-files/files.ts"
import type { Random } from "../matrix/random.ts"
import {
  dataset,
  type DatasetParts,
  float32Type,
  float64Type,
  type GroupParts,
  hdf5,
  int32Type,
  int64Type,
  join,
  le,
  type Message,
} from "../support/hdf5-file.ts"
import * as onnx from "../support/onnx-file.ts"
import { type MemberParts, zip } from "../support/zip-file.ts"
import type { Bytes, Parser } from "./mutants.ts"

const kerasFiles = (format: string): Bytes[] =>
  ([2, 3] as const).flatMap((version) =>
    readKerasModels(version).flatMap(({ files }) =>
      files.flatMap((file) => (file.format === format ? [file.bytes] : [])),
    ),
  )

const names = ["dense", "kernel:0", "vars", "0", "", "..", "a/b", "__proto__", "é", "x".repeat(300)]
/** Mostly right, so that what comes after is reached. */
const rarely = <T>(random: Random, right: T, ...wrong: readonly T[]): T => (random.once(40) ? random.of(wrong) : right)

function anyDataset(random: Random): DatasetParts {
  const shape = random.many(random.int(0, 3), () => random.int(1, 4))
  const right = dataset(shape, new Float32Array(shape.reduce((product, size) => product * size, 1)))
  return {
    ...right,
    shape: rarely(
      random,
      shape,
      [2 ** 31, 2 ** 31],
      [0],
      [...shape, 7],
      Array.from({ length: 40 }, () => 1),
    ),
    type: rarely(
      random,
      float32Type,
      float64Type,
      int32Type,
      int64Type,
      new Uint8Array(4),
      join(le(1, 0x19, 1, 0, 0), le(4, 16)),
    ),
    ...(random.once(40) && { layout: random.of(layouts) }),
    ...(random.once(40) && { messages: [anyMessage(random)] }),
  }
}

const layouts: readonly NonNullable<DatasetParts["layout"]>[] = [
  (address, size) => join(le(1, 3, 1), le(8, address + 1, size)),
  (address, size) => join(le(1, 3, 1), le(8, address, size + 1)),
  () => join(le(1, 3, 1), le(8, 2 ** 52, 4)),
  () => join(le(1, 4, 3), le(8, 0, 0)),
  () => join(le(1, 3, 2, 2), le(8, 0), le(4, 1, 4)),
  (_, size) => join(le(1, 3, 0), le(2, size), new Uint8Array(Math.min(size, 100))),
]

function anyMessage(random: Random): Message {
  const body = Uint8Array.from(random.many(random.int(0, 40), () => random.of([0, 0, 0, 1, 2, 8, 255])))
  return { type: random.int(0, 25), flags: random.of([0, 0, 0, 1, 2, 255]), body }
}

function anyGroup(random: Random, depth = 0): GroupParts {
  const count = random.int(0, depth === 0 ? 12 : 3)
  const members = Object.fromEntries(
    Array.from({ length: count }, (_, index): [string, NonNullable<GroupParts["members"]>[string]] => {
      const name = rarely(random, `m${index}`, ...names)
      if (random.once(40)) return [name, { link: rarely<number | "soft">(random, random.int(96, 2000), "soft") }]
      return [name, depth < 3 && random.once(2) ? anyGroup(random, depth + 1) : anyDataset(random)]
    }),
  )
  const attributes = random.once(3) ? { names: random.many(random.int(1, 5), () => random.of(names)), text: "{}" } : {}
  return { members, attributes, ...(random.once(60) && { messages: [anyMessage(random)] }) }
}

const hdf5Parser: Parser = {
  name: "hdf5",
  seeds: kerasFiles("keras-h5"),
  structure: (random) => hdf5(anyGroup(random)),
  parse: (bytes) => void openHdf5(bytes),
}

function anyMember(random: Random, index: number): MemberParts {
  const content = rarely(random, '{"a":1}', "", "x".repeat(5000), "\0\0\0")
  return {
    name: rarely<string>(random, `m${index}`, "m0", "", "../m", "é"),
    content,
    deflate: random.once(2),
    later: random.once(4),
    ...(random.once(60) && { size: random.of([0, 1, 2 ** 32 - 1, 5001]) }),
    ...(random.once(60) && { flags: random.of([1, 64, 0x800, 0xffff]) }),
    ...(random.once(60) && { method: random.of([0, 8, 9, 93]) }),
    ...(random.once(60) && { crc: 0 }),
    ...(random.once(60) && { localName: "other" }),
    ...(random.once(60) && { offset: random.of([0, 1, 30, 2 ** 32 - 1]) }),
  }
}

const zipParser: Parser = {
  name: "zip",
  seeds: kerasFiles("keras-v3"),
  structure: (random) => zip(Array.from({ length: random.int(0, 6) }, (_, index) => anyMember(random, index))),
  parse: (bytes) => {
    for (const read of openZip(bytes).values()) read()
  },
}

function anyTensor(random: Random, name: string): Bytes {
  const dims = random.many(random.int(0, 3), () => random.int(1, 4))
  const size = 4 * dims.reduce((product, one) => product * one, 1)
  const external = join(onnx.part(13, join(onnx.part(1, "location"), onnx.part(2, "x"))), onnx.int(14, 1))
  return onnx.tensor({
    name: rarely(random, name, ...names),
    dims: rarely<readonly (number | bigint)[]>(random, dims, [2 ** 40], [-1], [2n ** 63n], [...dims, 2]),
    type: rarely(random, 1, 0, 2, 7, 8, 16, 22, 99),
    raw: new Uint8Array(rarely(random, size, 0, size + 1)),
    ...(random.once(80) && { more: random.of([external, onnx.part(4, new Uint8Array(8)), onnx.part(99, "")]) }),
  })
}

function anyNode(random: Random, index: number, depth: number): Bytes {
  const inner = depth < 20 && random.once(8) ? [onnx.graphAttribute("body", anyGraph(random, depth + 1))] : []
  const attributes = random.once(3)
    ? [onnx.tensorAttribute("value", anyTensor(random, "v")), onnx.intAttribute("axis", random.int(-3, 3))]
    : []
  const domain = rarely<string | undefined>(random, undefined, "ai.onnx", "ai.onnx.ml", "com.microsoft", "evil")
  return onnx.node(
    random.of([
      "Relu",
      "Gemm",
      "Identity",
      "If",
      "Loop",
      "Constant",
      "ConstantOfShape",
      "Expand",
      rarely(random, "Add", "ZipMap"),
    ]),
    ["x", `n${index - 1}`],
    [`n${index}`],
    {
      ...(domain !== undefined && { domain }),
      attributes: [...inner, ...attributes],
    },
  )
}

function anyGraph(random: Random, depth = 0): Bytes {
  return onnx.graph({
    nodes: Array.from({ length: random.int(0, 4) }, (_, index) => anyNode(random, index, depth)),
    inputs: [
      onnx.value(
        "x",
        rarely(random, 1, 0, 8, 16, 99),
        rarely<(number | string | null)[] | null>(random, ["n", 2], null, [], [-1, 0, 5]),
      ),
    ],
    outputs: [onnx.value("y", 1, ["n", 2])],
    initializers: Array.from({ length: random.int(0, 3) }, (_, index) => anyTensor(random, `w${index}`)),
    ...(random.once(80) && { more: random.of([onnx.part(15, ""), onnx.part(99, ""), onnx.int(1, 5)]) }),
  })
}

const onnxParser: Parser = {
  name: "onnx",
  seeds: [onnx.smallNetwork(), onnx.smallNetwork(1)],
  structure: (random) =>
    onnx.model({
      graph: anyGraph(random),
      ...(random.once(80) && { more: random.of([onnx.part(20, ""), onnx.part(25, ""), onnx.part(7, "")]) }),
    }),
  parse: (bytes) => void openFormat("onnx", "m", new Map([["m", bytes]])),
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

const network = {
  format: "layers-model",
  modelTopology: {
    class_name: "Sequential",
    config: {
      name: "m",
      layers: [
        {
          class_name: "Dense",
          config: { name: "a", units: 3, activation: "relu", use_bias: true, batch_input_shape: [null, 2] },
        },
        { class_name: "Dense", config: { name: "b", units: 2, activation: "softmax" } },
      ],
    },
  },
  weightsManifest: [
    {
      paths: ["w.bin"],
      weights: [
        { name: "a/kernel", shape: [2, 3], dtype: "float32" },
        { name: "a/bias", shape: [3], dtype: "float32", quantization: { dtype: "uint8", scale: 0.1, min: -1 } },
        { name: "b/kernel", shape: [3, 2], dtype: "float32" },
        { name: "b/bias", shape: [2], dtype: "float32" },
      ],
    },
  ],
}
const values: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e9,
  2 ** 53,
  "",
  "x",
  "Lambda",
  "../w.bin",
  "__proto__",
  [],
  {},
  [[]],
  [null, null],
]

/** One place of the document becomes something else; where it is a name, another of the same document's. */
function changed(value: Json, random: Random, chance: number): Json {
  if (random.once(chance)) return random.of(values)
  if (Array.isArray(value)) return value.map((one) => changed(one, random, chance))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [random.once(400) ? "x" : key, changed(one, random, chance)]),
  )
}

const weights = new Uint8Array(24 + 3 + 24 + 8)
const tfjsParser: Parser = {
  name: "tfjs",
  seeds: [new Uint8Array(Buffer.from(JSON.stringify(network)))],
  structure: (random) => new Uint8Array(Buffer.from(JSON.stringify(changed(network as unknown as Json, random, 120)))),
  parse: (bytes) =>
    void openFormat(
      "tfjs-layers",
      "model.json",
      new Map([
        ["model.json", bytes],
        ["w.bin", weights],
      ]),
    ),
}

export const parsers: readonly Parser[] = [hdf5Parser, zipParser, onnxParser, tfjsParser]
