/** Layers with a memory, their cells, and the wrappers around them; masks included. */
import {
  type Config,
  type Draft,
  type Family,
  functional,
  layer,
  type LayerDraft,
  sequential,
  type WeightDraft,
} from "../case.ts"
import type { Random } from "../random.ts"

const gates: Readonly<Record<string, number>> = { SimpleRNN: 1, GRU: 3, LSTM: 4 }
const kinds = Object.keys(gates)

interface Sizes {
  readonly steps: number
  readonly features: number
  readonly units: number
}

function sizes(random: Random): Sizes {
  return { steps: random.int(1, 5), features: random.int(1, 4), units: random.int(1, 4) }
}

function cellConfig(random: Random, kind: string, units: number): Config {
  const recurrent = { recurrent_activation: random.of(["sigmoid", "hard_sigmoid", "sigmoid", "tanh"]) }
  return {
    units,
    activation: random.of(["tanh", "tanh", "relu", "sigmoid", "linear", "softsign"]),
    use_bias: !random.once(4),
    ...(kind === "SimpleRNN" ? {} : recurrent),
    ...(kind === "GRU" ? { reset_after: random.once(12) } : {}),
    ...(kind === "LSTM" ? { unit_forget_bias: random.once(2) } : {}),
    ...(kind === "SimpleRNN" ? {} : { implementation: random.of([1, 2]) }),
  }
}

function cellWeights(kind: string, features: number, units: number, config: Config, prefix = "x/"): WeightDraft[] {
  const wide = units * (gates[kind] ?? 1)
  const bias = { name: `${prefix}bias`, shape: config["reset_after"] === true ? [2, wide] : [wide] }
  return [
    { name: `${prefix}kernel`, shape: [features, wide], values: "small" },
    { name: `${prefix}recurrent_kernel`, shape: [units, wide], values: "small" },
    ...(config["use_bias"] === true ? [bias] : []),
  ]
}

function outer(random: Random): Config {
  return {
    return_sequences: random.once(2),
    go_backwards: random.once(3),
    stateful: false,
    unroll: random.once(6),
    time_major: false,
  }
}

// One question in three has steps that a mask takes out.
function masked(random: Random, { steps, features }: Sizes, ...layers: readonly LayerDraft[]): Draft {
  if (!random.once(3)) return sequential({ shape: [steps, features] }, ...layers)
  return maskedBefore(steps, features, ...layers)
}

/** Small whole numbers, of which whole steps are zero often enough. */
export function maskedBefore(steps: number, features: number, ...layers: readonly LayerDraft[]): Draft {
  const masking = layer("Masking", { name: "mask", mask_value: 0 })
  return sequential({ shape: [steps, features], values: { below: features > 1 ? 2 : 3 } }, masking, ...layers)
}

function recurrent(kind: string): (random: Random) => Draft {
  return (random) => {
    const all = sizes(random)
    const config = { ...cellConfig(random, kind, all.units), ...outer(random) }
    return masked(random, all, layer(kind, config, cellWeights(kind, all.features, all.units, config)))
  }
}

/** `RNN` around one cell, or around several. */
function aroundCells(cells: (random: Random) => readonly string[]): (random: Random) => Draft {
  return (random) => {
    const all = sizes(random)
    let features = all.features
    const made = cells(random).map((kind, index, { length }) => {
      const units = random.int(1, 4)
      const config = { name: `c${index}`, ...cellConfig(random, kind, units) }
      const prefix = length === 1 ? "x/" : `x/RNNCell_${index}/`
      const weights = cellWeights(kind, features, units, config, prefix)
      features = units
      return { class_name: `${kind}Cell`, config, weights }
    })
    const json = made.map(({ class_name, config }) => ({ class_name, config }))
    const stack = { class_name: "StackedRNNCells", config: { name: "s", cells: json } }
    const config = { ...outer(random), cell: (json.length === 1 ? json[0] : undefined) ?? stack }
    const weights = made.flatMap((cell) => cell.weights)
    return masked(random, all, layer("RNN", config, weights))
  }
}

function bidirectional(random: Random): Draft {
  const all = sizes(random)
  const kind = random.of(kinds)
  const config: Config = { name: "y", ...cellConfig(random, kind, all.units), ...outer(random), go_backwards: false }
  const weights = ["forward", "backward"].flatMap((way) =>
    cellWeights(kind, all.features, all.units, config, `x/${way}_y/`),
  )
  const merge = random.of(["concat", "concat", "sum", "mul", "ave"])
  return masked(
    random,
    all,
    layer("Bidirectional", { merge_mode: merge, layer: { class_name: kind, config } }, weights),
  )
}

function convLstm(random: Random): Draft | null {
  const [steps, rows, columns] = [random.int(1, 3), random.int(1, 5), random.int(1, 5)]
  const [channels, filters] = [random.int(1, 2), random.int(1, 2)]
  const kernel = [random.int(1, 3), random.int(1, 3)]
  const strides = random.of([
    [1, 1],
    [1, 1],
    [2, 2],
  ])
  const dilation = strides[0] === 1 && random.once(4) ? [2, 1] : [1, 1]
  const padding = random.of(["valid", "same"])
  const first = random.once(6)
  if (padding === "valid" && (rows < (kernel[0] ?? 1) * (dilation[0] ?? 1) || columns < (kernel[1] ?? 1))) return null
  const config = {
    filters,
    kernel_size: kernel,
    strides,
    padding,
    dilation_rate: dilation,
    data_format: first ? "channels_first" : "channels_last",
    activation: random.of(["tanh", "relu"]),
    recurrent_activation: random.of(["hard_sigmoid", "sigmoid"]),
    use_bias: !random.once(4),
    return_sequences: random.once(2),
    go_backwards: random.once(3),
  }
  const weights: WeightDraft[] = [
    { name: "x/kernel", shape: [...kernel, channels, filters * 4], values: "small" },
    { name: "x/recurrent_kernel", shape: [...kernel, filters, filters * 4], values: "small" },
    ...(config.use_bias ? [{ name: "x/bias", shape: [filters * 4] }] : []),
  ]
  const shape = first ? [steps, channels, rows, columns] : [steps, rows, columns, channels]
  return sequential({ shape }, layer("ConvLSTM2D", config, weights))
}

/** Both ways, each an output. */
function bothWays(random: Random): Draft {
  const { steps, features, units } = sizes(random)
  const kind = random.of(kinds)
  const config: Config = { name: "y", ...cellConfig(random, kind, units), ...outer(random), go_backwards: false }
  const weights = ["forward", "backward"].flatMap((way) => cellWeights(kind, features, units, config, `x/${way}_y/`))
  const x = layer("Bidirectional", { merge_mode: null, layer: { class_name: kind, config } }, weights)
  const outputs = [0, 1].map((tensor) => ["x", 0, tensor] as const)
  return functional([{ name: "in", shape: [steps, features] }], [[x, ["in"]]], outputs)
}

/** The cell of ConvLSTM2D where any cell may stand: Keras knows no such model. */
function convolutionalCell(): Draft {
  const config = { name: "c", filters: 1, kernel_size: [1, 1] }
  const weights: WeightDraft[] = [
    { name: "x/kernel", shape: [1, 1, 1, 4] },
    { name: "x/recurrent_kernel", shape: [1, 1, 1, 4] },
    { name: "x/bias", shape: [4] },
  ]
  return sequential({ shape: [2, 3, 3, 1] }, layer("RNN", { cell: { class_name: "ConvLSTM2DCell", config } }, weights))
}

/** The memory goes in as inputs and comes out as outputs. */
function withStates(random: Random): Draft {
  const { steps, features, units } = sizes(random)
  const kind = random.of(kinds)
  const config: Config = { ...cellConfig(random, kind, units), ...outer(random), return_state: true }
  const states = kind === "LSTM" ? ["h", "c"] : ["h"]
  const given = random.once(2) ? states : []
  const inputs = [{ name: "in", shape: [steps, features] }, ...given.map((name) => ({ name, shape: [units] }))]
  const x = layer(kind, config, cellWeights(kind, features, units, config))
  const outputs = [0, ...states.map((_, index) => index + 1)].map((tensor) => ["x", 0, tensor] as const)
  return functional(inputs, [[x, ["in", ...given]]], outputs)
}

function distributed(random: Random): Draft {
  const [steps, features, units] = [random.int(1, 4), random.int(1, 5), random.int(1, 4)]
  const inner = { name: "y", units, activation: random.of(["linear", "relu", "softmax"]), use_bias: true }
  const weights: WeightDraft[] = [
    { name: "x/kernel", shape: [features, units], values: "small" },
    { name: "x/bias", shape: [units] },
  ]
  const dense = layer("TimeDistributed", { layer: { class_name: "Dense", config: inner } }, weights)
  if (random.once(3)) return maskedBefore(steps, features, dense)
  if (random.once(2)) return sequential({ shape: [steps, features] }, dense)
  const pool = { class_name: "MaxPooling2D", config: { name: "y", pool_size: [2, 2], strides: null, padding: "same" } }
  return sequential(
    { shape: [steps, random.int(1, 4), random.int(1, 4), 2] },
    layer("TimeDistributed", { layer: pool }),
  )
}

export const recurrentFamilies: readonly Family[] = [
  { layer: "SimpleRNN", count: 120, draft: recurrent("SimpleRNN") },
  { layer: "GRU", count: 160, draft: recurrent("GRU") },
  { layer: "LSTM", count: 200, draft: recurrent("LSTM") },
  { layer: "RNN", count: 120, draft: aroundCells((random) => [random.of(kinds)]) },
  { layer: "StackedRNNCells", count: 80, draft: aroundCells((random) => random.many(2, () => random.of(kinds))) },
  { layer: "RNN states", count: 80, draft: withStates },
  { layer: "Bidirectional", count: 160, draft: bidirectional },
  { layer: "Bidirectional outputs", count: 20, draft: bothWays },
  { layer: "ConvLSTM2DCell", count: 2, draft: convolutionalCell },
  { layer: "ConvLSTM2D", count: 80, draft: convLstm },
  { layer: "TimeDistributed", count: 60, draft: distributed },
]
