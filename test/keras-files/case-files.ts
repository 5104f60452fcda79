/** A case of the matrix as the files that Keras would write of it; `null` for one whose weights lie deeper than its layers. */
import type { Json, MatrixCase, TensorOfCase } from "../matrix/case.ts"
import type { ModelFiles } from "../matrix/run-case.ts"
import { type DatasetParts, dataset, type GroupParts, hdf5 } from "../support/hdf5-file.ts"
import { zip } from "../support/zip-file.ts"

interface LayerJson {
  readonly class_name: string
  readonly config: { readonly name: string }
}

export function asH5(one: MatrixCase): ModelFiles | null {
  const layers = layersOf(one)
  if (layers === null) return null
  const members = Object.fromEntries(
    layers.map(({ layer, weights }) => [
      layer.config.name,
      {
        attributes: { weight_names: weights.map(({ name }) => `${name}:0`) },
        members: nested(weights.map((weight) => [`${weight.name}:0`.split("/"), asDataset(weight)])),
      },
    ]),
  )
  const bytes = hdf5({
    attributes: { model_config: JSON.stringify(one.topology), keras_version: "2.21.0", backend: "tensorflow" },
    members: { model_weights: { attributes: { layer_names: layers.map(({ layer }) => layer.config.name) }, members } },
  })
  return { format: "keras-h5", entrypoint: "model.h5", files: new Map([["model.h5", bytes]]) }
}

/** Without the layers' names in the groups, as Keras 2 writes it: they go by class and order. */
export function asKeras(one: MatrixCase): ModelFiles | null {
  const layers = layersOf(one)
  if (layers === null) return null
  const counts = new Map<string, number>()
  const groups = layers.map(({ layer, weights }): [string, GroupParts] => {
    const name = snakeCases[layer.class_name] ?? layer.class_name.toLowerCase()
    const count = counts.get(name) ?? 0
    counts.set(name, count + 1)
    const vars = Object.fromEntries(weights.map((weight, index) => [String(index), asDataset(weight)]))
    return [count === 0 ? name : `${name}_${count}`, { members: { vars: { members: vars } } }]
  })
  const bytes = zip([
    { name: "metadata.json", content: '{"keras_version":"2.21.0"}' },
    { name: "config.json", content: JSON.stringify(one.topology), deflate: one.id.length % 2 === 0 },
    { name: "model.weights.h5", content: hdf5({ members: { layers: { members: Object.fromEntries(groups) } } }) },
  ])
  return { format: "keras-v3", entrypoint: "model.keras", files: new Map([["model.keras", bytes]]) }
}

const snakeCases: Readonly<Record<string, string>> = {
  InputLayer: "input_layer",
  BatchNormalization: "batch_normalization",
  LayerNormalization: "layer_normalization",
  Conv2DTranspose: "conv2d_transpose",
  DepthwiseConv2D: "depthwise_conv2d",
  SeparableConv2D: "separable_conv2d",
  PReLU: "p_re_lu",
}

function layersOf({ topology, weights }: MatrixCase): { layer: LayerJson; weights: TensorOfCase[] }[] | null {
  const { config } = topology as { readonly config: { readonly layers?: Json } }
  const layers = (config.layers ?? config) as unknown as readonly LayerJson[]
  const simple =
    /^(?:InputLayer|Dense|Conv\dD|Conv2DTranspose|DepthwiseConv2D|SeparableConv2D|BatchNormalization|LayerNormalization|PReLU|Embedding)$/
  const byLayer = Map.groupBy(weights, ({ name }) => name.slice(0, name.indexOf("/")))
  const known = layers.map((layer) => ({ layer, weights: byLayer.get(layer.config.name) ?? [] }))
  const placed = known.reduce((total, own) => total + own.weights.length, 0)
  const isSimple = known.every(({ layer, weights: own }) => own.length === 0 || simple.test(layer.class_name))
  return isSimple && placed === weights.length && weights.length > 0 ? known : null
}

function asDataset({ shape, dtype, values }: TensorOfCase): DatasetParts {
  return dataset(shape, dtype === "float32" ? Float32Array.from(values) : Int32Array.from(values))
}

function nested(
  entries: readonly (readonly [path: readonly string[], DatasetParts])[],
): NonNullable<GroupParts["members"]> {
  const byFirst = Map.groupBy(entries, ([[first]]) => first ?? "")
  return Object.fromEntries(
    [...byFirst].map(([name, own]) => {
      const [only] = own
      if (only !== undefined && only[0].length === 1) return [name, only[1]]
      return [name, { members: nested(own.map(([path, data]) => [path.slice(1), data])) }]
    }),
  )
}
