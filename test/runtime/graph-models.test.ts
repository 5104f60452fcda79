/** tfjs-graph models: answered by their own nodes, and refused where a node could do anything else. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkLoadable, loadVerified } from "@weighlock/runtime"
import { verified } from "./support.ts"

const float = { type: "DT_FLOAT" }
const shapeOf = (...sizes: readonly number[]): object => ({ dim: sizes.map((size) => ({ size: String(size) })) })
const base64 = (text: string): string => Buffer.from(text).toString("base64")

interface Node {
  name: string
  op: string
  input?: string[]
  attr?: Record<string, object>
}
const node = (name: string, op: string, input: string[] = [], attr: Record<string, object> = {}): Node => ({
  name,
  op,
  ...(input.length > 0 && { input }),
  attr: { T: float, ...attr },
})
const placeholder = (name: string, ...sizes: readonly number[]): Node => ({
  name,
  op: "Placeholder",
  attr: { dtype: float, shape: { shape: shapeOf(...sizes) } },
})
const tensorInfo = (name: string, ...sizes: readonly number[]): object => ({
  name,
  dtype: "DT_FLOAT",
  tensorShape: shapeOf(...sizes),
})

interface Weight {
  readonly shape: readonly number[]
  readonly values: readonly number[]
  readonly dtype?: "float32" | "int32"
}

interface Parts {
  readonly nodes: readonly Node[]
  readonly weights?: Readonly<Record<string, Weight>>
  readonly signature?: object | undefined
  readonly more?: object
  readonly topology?: object
}

function filesOf({ nodes, weights = {}, signature, more = {}, topology = {} }: Parts) {
  const specs = Object.entries(weights).map(([name, { shape, dtype = "float32" }]) => ({ name, shape, dtype }))
  const bytes = Object.values(weights).map(({ values, dtype }) =>
    Buffer.from((dtype === "int32" ? Int32Array : Float32Array).from(values).buffer),
  )
  const json = {
    format: "graph-model",
    ...(signature && { signature }),
    modelTopology: { node: nodes, library: {}, versions: { producer: 2474 }, ...topology },
    weightsManifest: [{ paths: ["w.bin"], weights: specs }],
    ...more,
  }
  return verified({ "model.json": JSON.stringify(json), "w.bin": Buffer.concat(bytes) }, { format: "tfjs-graph" })
}

/** y = softmax(x·w + b), of two numbers to three. */
const network: Parts = {
  nodes: [
    placeholder("x", -1, 2),
    node("w", "Const"),
    node("b", "Const"),
    node("product", "MatMul", ["x", "w"], { transpose_a: { b: false }, transpose_b: { b: false } }),
    node("sum", "BiasAdd", ["product", "b"]),
    node("prob", "Softmax", ["sum"]),
  ],
  weights: {
    w: { shape: [2, 3], values: [1, 2, 3, 4, 5, 6] },
    b: { shape: [3], values: [0.5, 0, -0.5] },
  },
  signature: { inputs: { image: tensorInfo("x:0", -1, 2) }, outputs: { classes: tensorInfo("prob:0", -1, 3) } },
}
const expected = ([a = 0, b = 0]: readonly number[]): number[] => {
  const sums = [0.5, 0, -0.5].map((bias, at) => a * (at + 1) + b * (at + 4) + bias)
  const total = sums.reduce((sum, one) => sum + Math.exp(one), 0)
  return sums.map((one) => Math.exp(one) / total)
}

for (const device of ["js", "wasm"])
  test(`${device}: a graph answers by the names of its signature, a row or many`, async () => {
    const model = await loadVerified(filesOf(network), { device })
    assert.deepEqual(model.inputs, [{ name: "image", shape: [2], dtype: "float32" }])
    assert.deepEqual(model.outputs, [{ name: "classes", shape: [3], dtype: "float32" }])
    assert.equal(model.engine.rehearsal, device === "js" ? "is js" : "agrees with js")
    const rows = Array.from({ length: 700 }, (_, at) => [at / 350 - 1, 0.25])
    for (const [at, { classes }] of (await model.predictBatch(rows)).entries())
      for (const [index, right] of expected(rows[at]!).entries())
        assert.ok(Math.abs((classes as number[])[index]! - right) < 1e-6)
    await assert.rejects(model.predict([1, 2, 3]), { code: "INPUT_INVALID" })
    await model.dispose()
  })

const conv = (padding: string, stride: number): Parts => ({
  nodes: [
    placeholder("x", -1, 7, 7, 1),
    node("k", "Const"),
    node("y", "Conv2D", ["x", "k"], {
      strides: { list: { i: ["1", String(stride), String(stride), "1"] } },
      dilations: { list: { i: ["1", "1", "1", "1"] } },
      padding: { s: base64(padding) },
      data_format: { s: base64("NHWC") },
    }),
  ],
  weights: { k: { shape: [2, 2, 1, 1], values: [1, 2, 3, 4] } },
})

test("without a signature inputs are placeholders, and outputs the nodes that nobody uses", async () => {
  const model = await loadVerified(filesOf(conv("VALID", 1)))
  assert.deepEqual([model.inputs[0]?.name, model.outputs[0]?.name], ["x", "y"])
  const ones = Array.from({ length: 7 }, () => Array.from({ length: 7 }, () => [1]))
  const { y } = await model.predict(ones)
  assert.deepEqual((y as number[][][])[5]?.[5], [10])
  await model.dispose()
})

test("a convolution that WebAssembly computes wrong goes to plain JavaScript", async () => {
  const model = await loadVerified(filesOf(conv("SAME", 4)))
  assert.equal(model.engine.name, "js")
  assert.ok(model.engine.passedOver.some(({ name, wrong }) => name === "wasm" && wrong))
  await model.dispose()
  await assert.rejects(loadVerified(filesOf(conv("SAME", 4)), { device: "wasm" }), { code: "MODEL_REFUSED" })
})

test("rows that depend on each other are computed together; a value that is not finite is refused", async () => {
  const model = await loadVerified(
    filesOf({
      nodes: [
        placeholder("x", -1, 1),
        node("axis", "Const"),
        node("total", "Sum", ["x", "axis"], { keep_dims: { b: true } }),
        node("share", "RealDiv", ["x", "total"]),
      ],
      weights: { axis: { shape: [], values: [0], dtype: "int32" } },
    }),
  )
  const answers = await model.predictBatch(Array.from({ length: 400 }, () => [2]))
  assert.ok(answers.every(({ share }) => Math.abs((share as number[])[0]! - 1 / 400) < 1e-6))
  await assert.rejects(model.predict([0]), { code: "OUTPUT_INVALID" })
  await model.dispose()
})

test("a small graph that would fill memory is stopped before it does", async () => {
  const model = await loadVerified(
    filesOf({
      nodes: [placeholder("x", -1, 1), node("times", "Const"), node("y", "Tile", ["x", "times"])],
      weights: { times: { shape: [2], values: [1, 2 ** 30], dtype: "int32" } },
    }),
  )
  await assert.rejects(model.predict([1]), { code: "INPUT_INVALID" })
  await model.dispose()
})

const add = (...nodes: readonly Node[]): Parts => ({ ...network, nodes: [...network.nodes, ...nodes] })
const refusals: readonly (readonly [what: string, parts: Parts, words: RegExp])[] = [
  ["control flow", add(node("loop", "While", ["x"])), /While/],
  ["a table", add(node("table", "HashTableV2")), /HashTableV2/],
  ["chance", add(node("chance", "RandomStandardNormal", ["x"])), /RandomStandardNormal/],
  ["a file operation", add(node("read", "ReadFile", ["x"])), /ReadFile/],
  ["code of one's own", add(node("own", "MyOp", ["x"])), /MyOp/],
  ["a function", { ...network, topology: { library: { function: [{}] } } }, /functions/],
  ["an initializer", { ...network, more: { modelInitializer: { node: [] } } }, /tables/],
  ["an input that is not there", add(node("y", "Relu", ["nothing"])), /nothing, which is not there/],
  ["a circle", add(node("a", "Relu", ["b2"]), node("b2", "Relu", ["a"])), /circle/],
  ["two nodes of one name", add(node("x", "Relu", ["w"])), /two nodes/],
  ["a constant without a weight", add(node("c", "Const")), /no weight c/],
  [
    "a weight without a constant",
    { ...network, weights: { ...network.weights, z: { shape: [1], values: [1] } } },
    /belongs to no node/,
  ],
  [
    "an output that is no node",
    { ...network, signature: { inputs: { x: tensorInfo("x:0", -1, 2) }, outputs: { y: tensorInfo("y:0") } } },
    /no node/,
  ],
  [
    "an input that the signature hides",
    { ...network, signature: { inputs: {}, outputs: { y: tensorInfo("prob:0", -1, 3) } } },
    /no input of its signature/,
  ],
  [
    "a type that is not supported",
    {
      ...network,
      signature: {
        inputs: { x: { ...tensorInfo("x:0", -1, 2), dtype: "DT_STRING" } },
        outputs: { y: tensorInfo("prob:0", -1, 3) },
      },
    },
    /DT_STRING/,
  ],
  ["a model of layers", { ...network, more: { format: "layers-model" } }, /layers-model/],
  [
    "an output without a batch",
    {
      ...network,
      nodes: [...network.nodes, node("axes", "Const"), node("all", "Sum", ["prob", "axes"])],
      weights: { ...network.weights, axes: { shape: [2], values: [0, 1], dtype: "int32" } },
      signature: undefined,
    },
    /batch/,
  ],
]
for (const [what, parts, words] of refusals)
  test(`refused, also before it is published: ${what}`, async () => {
    const { files, manifest } = filesOf(parts)
    const source = {
      format: "tfjs-graph",
      entrypoint: "model.json",
      files: new Map([...files].map(([name, { bytes }]) => [name, bytes])),
    }
    await assert.rejects(checkLoadable(source), { code: "MODEL_REFUSED", message: words })
    await assert.rejects(loadVerified({ ...filesOf(parts), manifest }), { code: "MODEL_REFUSED", message: words })
  })
