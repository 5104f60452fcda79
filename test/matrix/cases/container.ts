/** Models in models, layers that are called twice, and the words of training that stand in every topology. */
import { type Draft, type Family, functional, type Json, layer, type LayerDraft, sequential } from "../case.ts"
import type { Random } from "../random.ts"

function dense(name: string, from: number, units: number, activation = "linear"): LayerDraft {
  return layer("Dense", { name, units, activation, use_bias: true }, [
    { name: `${name}/kernel`, shape: [from, units], values: "small" },
    { name: `${name}/bias`, shape: [units] },
  ])
}

function json({ className, config }: LayerDraft, more: Record<string, Json> = {}): Json {
  return { class_name: className, config: { ...config, ...more } }
}

function nested(random: Random): Draft {
  const [from, middle, to] = [random.int(1, 5), random.int(1, 5), random.int(1, 5)]
  const first = dense("a", from, middle, "relu")
  const second = dense("b", middle, to, "tanh")
  const layers = [json(first, { batch_input_shape: [null, from], dtype: "float32" }), json(second)]
  const inner = layer("Sequential", { name: "inner", layers }, [...first.weights, ...second.weights])
  return functional(
    [{ name: "in", shape: [from] }],
    [
      [inner, ["in"]],
      [dense("z", to, 2), ["inner"]],
    ],
    [["z", 0, 0]],
  )
}

function nestedFunctional(className: string): (random: Random) => Draft {
  return (random) => {
    const [from, to] = [random.int(1, 5), random.int(1, 4)]
    const twice = dense("a", from, to, "sigmoid")
    const inner = functional(
      [{ name: "u", shape: [from] }],
      [
        [twice, ["u"]],
        [layer("Add", { name: "sum" }), ["a", "a"]],
      ],
      [["sum", 0, 0]],
    )
    const config = (inner.topology as { config: Record<string, Json> }).config
    const model = layer(className, { ...config, name: "inner" }, twice.weights)
    return functional(
      [{ name: "in", shape: [from] }],
      [
        [model, ["in"]],
        [dense("z", to, 2), ["inner"]],
      ],
      [["z", 0, 0]],
    )
  }
}

/** The same layer on two inputs: its weights stand once. */
function shared(random: Random): Draft {
  const [from, to] = [random.int(1, 5), random.int(1, 4)]
  const inputs = [
    { name: "a", shape: [from] },
    { name: "b", shape: [from] },
  ]
  const draft = functional(
    inputs,
    [
      [dense("d", from, to, "relu"), ["a"], ["b"]],
      [layer("Concatenate", { name: "z", axis: -1 }), ["d"]],
    ],
    [["z", 0, 0]],
  )
  const topology = structuredClone(draft.topology) as { config: { layers: { inbound_nodes: Json }[] } }
  const last = topology.config.layers.at(-1)
  if (last)
    last.inbound_nodes = [
      [
        ["d", 0, 0, {}],
        ["d", 1, 0, {}],
      ],
    ]
  return { ...draft, topology }
}

const initializers: Json[] = [
  { class_name: "Constant", config: { value: 0.5 } },
  ...["GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LeCunNormal", "LeCunUniform"].map((class_name) => ({
    class_name,
    config: { seed: null },
  })),
  { class_name: "Identity", config: { gain: 1 } },
  { class_name: "Ones", config: {} },
  { class_name: "Orthogonal", config: { gain: 1, seed: null } },
  { class_name: "RandomNormal", config: { mean: 0, stddev: 0.05, seed: null } },
  { class_name: "RandomUniform", config: { minval: -0.05, maxval: 0.05, seed: null } },
  { class_name: "TruncatedNormal", config: { mean: 0, stddev: 0.05, seed: null } },
  { class_name: "VarianceScaling", config: { scale: 1, mode: "fan_in", distribution: "uniform", seed: null } },
  { class_name: "Zeros", config: {} },
]

const constraints: Json[] = [
  null,
  { class_name: "MaxNorm", config: { max_value: 0.25, axis: 0 } },
  { class_name: "MinMaxNorm", config: { min_value: 0, max_value: 0.25, rate: 1, axis: 0 } },
  { class_name: "NonNeg", config: {} },
  { class_name: "UnitNorm", config: { axis: 0 } },
]

/** Initialisers, regularisers and constraints must leave the signed weights alone. */
function trained(random: Random): Draft {
  const [from, to] = [random.int(1, 4), random.int(1, 4)]
  const { className, config, weights } = dense("x", from, to)
  const training = {
    kernel_initializer: random.of(initializers),
    bias_initializer: { class_name: "Zeros", config: {} },
    kernel_regularizer: random.once(2) ? null : { class_name: "L1L2", config: { l1: 0.01, l2: 0.01 } },
    kernel_constraint: random.of(constraints),
    trainable: random.once(2),
  }
  return sequential({ shape: [from] }, layer(className, { ...config, ...training }, weights))
}

export const containerFamilies: readonly Family[] = [
  { layer: "Sequential", count: 40, draft: nested },
  { layer: "Functional", count: 40, draft: nestedFunctional("Functional") },
  { layer: "Model", count: 20, draft: nestedFunctional("Model") },
  { layer: "shared layer", count: 30, draft: shared },
  { layer: "training", count: 120, draft: trained },
]
