/** The contract of engines, on those that are part of this package, with each format that they load. */
import { loadVerified } from "@weighlock/runtime"
import { testEngine } from "../contract/engine.ts"
import { readKerasModels } from "../keras-files/files.ts"
import { isThorough } from "../support/thorough.ts"
import { dense, filesOf, save, verified } from "./support.ts"

const saved = await save(dense())
const values = new Float32Array(saved.weights.buffer.slice(0))
const [k00 = 0, k01 = 0, k02 = 0, k10 = 0, k11 = 0, k12 = 0, b0 = 0, b1 = 0, b2 = 0] = values
const layers = {
  format: "tfjs-layers",
  files: () => filesOf(saved),
  question: [0.5, -2],
  answer: [0.5 * k00 - 2 * k10 + b0, 0.5 * k01 - 2 * k11 + b1, 0.5 * k02 - 2 * k12 + b2],
}

const node = (name: string, op: string, input: readonly string[] = [], attr: object = {}): object => ({
  name,
  op,
  ...(input.length > 0 && { input }),
  attr: { T: { type: "DT_FLOAT" }, ...attr },
})
const graphJson = {
  format: "graph-model",
  modelTopology: {
    node: [
      node("x", "Placeholder", [], {
        dtype: { type: "DT_FLOAT" },
        shape: { shape: { dim: [{ size: "-1" }, { size: "2" }] } },
      }),
      node("w", "Const"),
      node("y", "MatMul", ["x", "w"], { transpose_a: { b: false }, transpose_b: { b: false } }),
    ],
  },
  signature: {
    inputs: { x: { name: "x:0", dtype: "DT_FLOAT", tensorShape: { dim: [{ size: "-1" }, { size: "2" }] } } },
    outputs: { y: { name: "y:0", dtype: "DT_FLOAT", tensorShape: { dim: [{ size: "-1" }, { size: "3" }] } } },
  },
  weightsManifest: [{ paths: ["w.bin"], weights: [{ name: "w", shape: [2, 3], dtype: "float32" }] }],
}
const graph = {
  format: "tfjs-graph",
  files: () =>
    verified(
      { "model.json": JSON.stringify(graphJson), "w.bin": new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer) },
      { format: "tfjs-graph" },
    ),
  question: [0.5, -2],
  answer: [-7.5, -9, -10.5],
}

const keras = readKerasModels(3).find(({ name }) => name === "dense")!
const kerasCases = keras.files.map(({ format, entrypoint, bytes }) => ({
  format,
  files: () => verified({ [entrypoint]: bytes }, { format, entrypoint }),
  question: keras.inputs[0]!.slice(0, 5),
  answer: keras.outputs[0]!.slice(0, 3),
}))

for (const device of isThorough ? ["js", "wasm"] : ["wasm"])
  for (const one of [layers, graph, ...kerasCases])
    testEngine({ name: `${device}, ${one.format}`, device, load: loadVerified, ...one })
