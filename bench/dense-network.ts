/** Networks of dense layers with numbers of chance, as an ONNX file and as a tfjs-layers model. */
import {
  type Bytes,
  graph,
  intAttribute,
  model,
  node,
  tensor,
  types,
  value,
} from "@weighlock/test/support/onnx-file.ts"

/** Small numbers, the same every time. */
function numbers(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed
  const values = new Float32Array(count)
  for (let at = 0; at < count; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    values[at] = (state / 2 ** 32 - 0.5) / 16
  }
  return values
}

const layersOf = (widths: readonly number[]): (readonly [rows: number, columns: number])[] =>
  widths.slice(1).map((columns, at) => [widths[at] ?? 0, columns] as const)

export function denseNetwork(widths: readonly number[]): Bytes {
  const layers = layersOf(widths)
  const initializers = layers.map(([rows, columns], at) =>
    tensor({ name: `w${at}`, dims: [rows, columns], raw: new Uint8Array(numbers(rows * columns, at + 7).buffer) }),
  )
  const nodes = layers.flatMap((_, at) => {
    const isLast = at === layers.length - 1
    const from = at === 0 ? "x" : `a${at - 1}`
    const attributes = isLast ? [intAttribute("axis", -1)] : []
    return [
      node("MatMul", [from, `w${at}`], [`h${at}`]),
      node(isLast ? "Softmax" : "Relu", [`h${at}`], [isLast ? "y" : `a${at}`], { attributes }),
    ]
  })
  const inputs = [value("x", types.float, ["n", widths[0] ?? 0])]
  const outputs = [value("y", types.float, ["n", widths.at(-1) ?? 0])]
  return model({ graph: graph({ nodes, initializers, inputs, outputs }) })
}

/** `model.json`, which names `weights.bin`. */
export function denseWeights(widths: readonly number[]): { json: string; weights: Uint8Array } {
  const layers = layersOf(widths)
  const json = JSON.stringify({
    format: "layers-model",
    modelTopology: {
      class_name: "Sequential",
      config: {
        name: "m",
        layers: layers.map(([rows, units], at) => ({
          class_name: "Dense",
          config: {
            name: `d${at}`,
            units,
            use_bias: false,
            activation: at === layers.length - 1 ? "softmax" : "relu",
            ...(at === 0 && { batch_input_shape: [null, rows] }),
          },
        })),
      },
    },
    weightsManifest: [
      {
        paths: ["weights.bin"],
        weights: layers.map((shape, at) => ({ name: `d${at}/kernel`, shape, dtype: "float32" })),
      },
    ],
  })
  const weights = Buffer.concat(
    layers.map(([rows, columns], at) => Buffer.from(numbers(rows * columns, at + 7).buffer)),
  )
  return { json, weights }
}
