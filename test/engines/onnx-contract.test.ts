/** The contract of engines, on the real onnxruntime. */
import { loadVerified } from "../../packages/runtime/src/index.ts"
import { testEngine } from "../contract/engine.ts"
import { verified } from "../runtime/support.ts"
import { floats, graph, model, node, types, value } from "../support/onnx-file.ts"
import { useInstalled } from "./onnx-engine.ts"

useInstalled()
const bytes = model({
  graph: graph({
    nodes: [node("Gemm", ["x", "w", "b"], ["y"])],
    inputs: [value("x", types.float, ["n", 2])],
    outputs: [value("y", types.float, ["n", 3])],
    initializers: [floats("w", [2, 3], [1, 2, 3, 4, 5, 6]), floats("b", [3], [0.5, 0, -0.5])],
  }),
})
testEngine({
  name: "onnxruntime, onnx",
  device: "onnxruntime",
  format: "onnx",
  load: loadVerified,
  files: () => verified({ "model.onnx": bytes }, { format: "onnx", entrypoint: "model.onnx" }),
  question: [0.5, -2],
  answer: [-7, -9, -11],
})
