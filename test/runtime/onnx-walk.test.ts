/** An ONNX file is walked before its runtime sees a byte: what is refused, with which words, and what is not. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { openOnnx } from "@weighlock/runtime/src/formats/onnx/onnx.ts"
import {
  type Bytes,
  floats,
  graph,
  graphAttribute,
  int,
  intsAttribute,
  join,
  longs,
  model,
  node,
  opset,
  part,
  smallNetwork,
  tensor,
  tensorAttribute,
  types,
  value,
  varint,
} from "../support/onnx-file.ts"

const open = (bytes: Bytes) => openOnnx("model.onnx", new Map([["model.onnx", bytes]]))
const [x, y] = [value("x", types.float, ["n", 2]), value("y", types.float, ["n", 2])]
const relu = node("Relu", ["x"], ["y"])

interface Parts {
  readonly nodes?: readonly Uint8Array[]
  readonly inputs?: readonly Uint8Array[]
  readonly outputs?: readonly Uint8Array[]
  readonly initializers?: readonly Uint8Array[]
  readonly more?: Uint8Array
}
const modelOf = ({ nodes = [relu], inputs = [x], outputs = [y], ...rest }: Parts): Bytes =>
  model({ graph: graph({ nodes, inputs, outputs, ...rest }) })

test("inputs and outputs as the file declares them; an initializer is no input", () => {
  const { inputs, outputs, bytes } = open(smallNetwork())
  assert.deepEqual(inputs, [{ name: "x", dtype: "float32", shape: [null, 2] }])
  assert.deepEqual(outputs, [{ name: "prob", dtype: "float32", shape: [null, 3] }])
  assert.equal(bytes.length, smallNetwork().length)
  const old = modelOf({ inputs: [x, value("w", types.float, [2])], initializers: [floats("w", [2], [1, 2])] })
  assert.deepEqual(
    open(old).inputs.map(({ name }) => name),
    ["x"],
  )
})

const subgraph = graph({ nodes: [relu], inputs: [], outputs: [y] })
const ifNode = (inner: Uint8Array): Bytes =>
  node("If", ["c"], ["y"], { attributes: [graphAttribute("then_branch", inner)] })
const external = join(part(13, join(part(1, "location"), part(2, "weights.bin"))), int(14, 1))
const nested = (depth: number): Bytes =>
  depth === 0 ? subgraph : graph({ nodes: [ifNode(nested(depth - 1))], inputs: [], outputs: [y] })
const sequence = part(2, part(4, part(1, part(1, int(1, 1)))))
const map = part(2, part(5, join(int(1, 7), part(2, part(1, int(1, 1))))))
const eight = new Uint8Array(8)

const refusals: readonly (readonly [what: string, bytes: Bytes, words: RegExp])[] = [
  ["weights in another file", modelOf({ initializers: [tensor({ dims: [2], more: external })] }), /external data/],
  [
    "… in another folder",
    modelOf({
      initializers: [
        tensor({ dims: [2], more: join(part(13, join(part(1, "location"), part(2, "../../etc/passwd"))), int(14, 1)) }),
      ],
    }),
    /external data/,
  ],
  [
    "… of which only the location is said",
    modelOf({ initializers: [tensor({ dims: [2], raw: eight, more: part(13, part(1, "location")) })] }),
    /external data/,
  ],
  [
    "… of which only the flag is set",
    modelOf({ initializers: [tensor({ dims: [2], raw: eight, more: int(14, 1) })] }),
    /external data/,
  ],
  [
    "… in a node's attribute",
    modelOf({
      nodes: [
        node("Constant", [], ["y"], { attributes: [tensorAttribute("value", tensor({ dims: [2], more: external }))] }),
      ],
    }),
    /external data/,
  ],
  [
    "… in a list of tensors",
    modelOf({
      nodes: [
        node("Relu", ["x"], ["y"], {
          attributes: [join(part(1, "values"), part(10, tensor({ dims: [2], more: external })))],
        }),
      ],
    }),
    /external data/,
  ],
  [
    "… in a graph within a graph",
    modelOf({
      nodes: [
        ifNode(
          graph({ nodes: [relu], inputs: [], outputs: [y], initializers: [tensor({ dims: [2], more: external })] }),
        ),
      ],
    }),
    /external data/,
  ],
  [
    "an operator of somebody's library",
    modelOf({ nodes: [node("Relu", ["x"], ["y"], { domain: "com.microsoft" })] }),
    /com\.microsoft/,
  ],
  [
    "… in a graph within a graph",
    modelOf({
      nodes: [ifNode(graph({ nodes: [node("Evil", [], ["y"], { domain: "evil" })], inputs: [], outputs: [y] }))],
    }),
    /"evil"/,
  ],
  ["graphs without end", modelOf({ nodes: [ifNode(nested(40))] }), /deep/],
  ["a function of its own", model({ graph: subgraph, more: part(25, join(part(1, "f"), part(7, relu))) }), /functions/],
  ["a training graph", model({ graph: subgraph, more: part(20, part(1, subgraph)) }), /training/],
  ["two graphs", model({ graph: subgraph, more: part(7, subgraph) }), /twice/],
  ["no graph", model({ graph: new Uint8Array(0) }), /no outputs/],
  ["no operator set", model({ graph: subgraph, opsets: [] }), /opset_import/],
  [
    "maps of scikit-learn",
    modelOf({ nodes: [node("ZipMap", ["x"], ["y"], { domain: "ai.onnx.ml" })] }),
    /zipmap|ZipMap/,
  ],
  ["an output that is a sequence", modelOf({ outputs: [join(part(1, "y"), sequence)] }), /sequence/],
  ["an output that is a map", modelOf({ outputs: [join(part(1, "y"), map)] }), /map/],
  ["an input without a type", modelOf({ inputs: [part(1, "x")] }), /no declared type/],
  ["sparse weights", modelOf({ more: part(15, part(1, tensor({ dims: [1], raw: new Uint8Array(4) }))) }), /sparse/],
  ["fewer bytes than the shape", modelOf({ initializers: [tensor({ dims: [3], raw: eight })] }), /12 bytes, and has 8/],
  ["more bytes than the shape", modelOf({ initializers: [tensor({ dims: [1], raw: eight })] }), /4 bytes, and has 8/],
  ["a shape of terabytes", modelOf({ initializers: [tensor({ dims: [2 ** 40, 4], raw: eight })] }), /bytes, and has 8/],
  [
    "a shape beyond all numbers",
    modelOf({ initializers: [tensor({ dims: [2n ** 62n, 2n ** 62n], raw: eight })] }),
    /shape/,
  ],
  ["a negative size", modelOf({ initializers: [tensor({ dims: [-2, -1], raw: eight })] }), /shape/],
  ["an element type nobody knows", modelOf({ initializers: [tensor({ dims: [2], type: 99, raw: eight })] }), /type 99/],
  [
    "numbers in two places",
    modelOf({ initializers: [tensor({ dims: [2], raw: eight, more: part(4, eight) })] }),
    /raw_data and float_data/,
  ],
  ["too few in float_data", modelOf({ initializers: [tensor({ dims: [3], more: part(4, eight) })] }), /3 numbers/],
  ["none at all", modelOf({ initializers: [tensor({ dims: [3] })] }), /3 numbers/],
  [
    "a tensor in segments",
    modelOf({ initializers: [tensor({ dims: [2], raw: eight, more: part(3, int(1, 0)) })] }),
    /segments/,
  ],
  [
    "a tensor made of a vast shape",
    modelOf({ nodes: [node("ConstantOfShape", ["s"], ["y"])], initializers: [longs("s", [2], [2 ** 20, 2 ** 20])] }),
    /ConstantOfShape/,
  ],
  [
    "… whose shape is a node",
    modelOf({
      nodes: [
        node("Constant", [], ["s"], { attributes: [tensorAttribute("value", longs("v", [2], [2 ** 20, 2 ** 20]))] }),
        node("ConstantOfShape", ["s"], ["y"]),
      ],
    }),
    /ConstantOfShape/,
  ],
  [
    "… that is expanded",
    modelOf({ nodes: [node("Expand", ["x", "s"], ["y"])], initializers: [longs("s", [2], [2 ** 20, 2 ** 20])] }),
    /Expand/,
  ],
  [
    "… of chance",
    modelOf({ nodes: [node("RandomNormal", [], ["y"], { attributes: [intsAttribute("shape", [2 ** 40])] })] }),
    /RandomNormal/,
  ],
  ["a field nobody knows", model({ graph: subgraph, more: part(99, "") }), /field 99/],
  ["a group", model({ graph: subgraph, more: varint((7 << 3) | 3) }), /wire type 3/],
  ["a length beyond the file", join(model({ graph: subgraph }), varint((8 << 3) | 2), varint(1000)), /beyond/],
  ["an integer without end", join(model({ graph: subgraph }), new Uint8Array(12).fill(0xff)), /does not end/],
  [
    "a name that is not UTF-8",
    modelOf({
      nodes: [node("Relu", ["x"], ["y"], { domain: "x" }), join(part(1, Uint8Array.of(0xff)), part(4, "Relu"))],
    }),
    /UTF-8|"x"/,
  ],
  ["another file", Uint8Array.from(Buffer.from("GGUF\x03\0\0\0")), /model\.onnx/],
  ["nothing", new Uint8Array(0), /no ONNX model/],
]

for (const [what, bytes, words] of refusals) {
  test(`refused: ${what}`, () => {
    assert.throws(() => open(bytes), { code: "MODEL_REFUSED", message: words })
  })
}

test("what is only unusual is taken", () => {
  const taken = [
    // Packed and unpacked lists, typed fields, text, numbers of less than a byte, an empty tensor.
    modelOf({ initializers: [tensor({ dims: [3], more: part(4, new Uint8Array(12)) })] }),
    modelOf({ initializers: [tensor({ dims: [2], type: types.int64, more: part(7, join(varint(5), varint(-1))) })] }),
    modelOf({ initializers: [tensor({ dims: [2], type: types.int64, more: join(int(7, 5), int(7, -1)) })] }),
    modelOf({ initializers: [join(part(1, join(varint(1), varint(2))), int(2, types.float), part(9, eight))] }),
    modelOf({ initializers: [tensor({ dims: [2], type: types.string, more: join(part(6, "a"), part(6, "b")) })] }),
    modelOf({ initializers: [tensor({ dims: [2], type: types.half, more: part(5, join(varint(1), varint(2))) })] }),
    modelOf({ initializers: [tensor({ dims: [3], type: 22, raw: new Uint8Array(2) })] }),
    modelOf({ initializers: [tensor({ dims: [0, 5], raw: new Uint8Array(0) })] }),
    modelOf({
      nodes: [ifNode(subgraph), node("Slice", ["x"], ["y"], { attributes: [intsAttribute("ends", [2n ** 63n - 1n])] })],
    }),
    model({ graph: subgraph, opsets: [opset(17), opset(3, "ai.onnx.ml"), opset(1, "com.microsoft")] }),
  ]
  for (const bytes of taken) open(bytes)
})

test("an entrypoint that is not there", () => {
  assert.throws(() => openOnnx("other.onnx", new Map()), { code: "MODEL_REFUSED" })
})
