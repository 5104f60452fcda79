/** Words and masks: what a mask does to the layers behind it. */
import { type Config, type Draft, type Family, functional, layer, type LayerDraft, sequential } from "../case.ts"
import type { Random } from "../random.ts"
import { maskedBefore } from "./recurrent.ts"

function embedding(random: Random): Draft {
  const [words, width] = [random.int(2, 9), random.int(1, 4)]
  const shape = random.many(random.int(1, 2), () => random.int(1, 5))
  const maskZero = random.once(3)
  const weights = [{ name: "x/embeddings", shape: [words, width] }]
  const config = { input_dim: words, output_dim: width, mask_zero: maskZero, input_length: null }
  const input = { shape, values: { below: words }, dtype: random.of(["float32", "int32"] as const) }
  const last = shape.length === 1 && random.once(2) ? [afterMask(random, width)] : []
  return sequential(input, layer("Embedding", config, weights), ...last)
}

/** A layer of three axes that may heed the mask of the one before. */
function afterMask(random: Random, features: number): LayerDraft {
  const name = { name: "z" }
  const choices: (() => LayerDraft)[] = [
    () => layer("GlobalAveragePooling1D", { ...name, data_format: "channels_last" }),
    () => layer("GlobalMaxPooling1D", { ...name, data_format: "channels_last" }),
    () => layer("Flatten", name),
    () => layer("Activation", { ...name, activation: "relu" }),
    () => layer("Dropout", { ...name, rate: 0.5 }),
    () =>
      layer("Dense", { ...name, units: 2 }, [
        { name: "z/kernel", shape: [features, 2] },
        { name: "z/bias", shape: [2] },
      ]),
    () =>
      layer("LSTM", { ...name, units: 1, return_sequences: true, recurrent_activation: "sigmoid" }, [
        { name: "z/kernel", shape: [features, 4] },
        { name: "z/recurrent_kernel", shape: [1, 4] },
        { name: "z/bias", shape: [4] },
      ]),
  ]
  return random.of(choices)()
}

function masking(random: Random): Draft {
  const [steps, features] = [random.int(1, 5), random.int(1, 3)]
  const then = random.once(4) ? [] : [afterMask(random, features)]
  if (random.once(2)) return maskedBefore(steps, features, ...then)
  const masking = layer("Masking", { mask_value: random.of([1, 0, -1]) })
  return sequential({ shape: [steps, features], values: { below: 2 } }, masking, ...then)
}

/** Two masks meet in a merging layer, a memory reads what comes out. */
function maskedMerge(random: Random): Draft {
  const [steps, features] = [random.int(2, 4), random.int(1, 2)]
  const inputs = ["a", "b"].map((name) => ({ name, shape: [steps, features], values: { below: 2 } }))
  const mask = (name: string): LayerDraft => layer("Masking", { name, mask_value: 0 })
  const className = random.of(["Add", "Multiply", "Concatenate", "Maximum"])
  const wide = className === "Concatenate" ? features * 2 : features
  const second = random.once(2) ? ["mb"] : ["b"]
  const memory: Config = { name: "z", units: 1, return_sequences: random.once(2), activation: "tanh" }
  const rnn = layer("SimpleRNN", memory, [
    { name: "z/kernel", shape: [wide, 1] },
    { name: "z/recurrent_kernel", shape: [1, 1] },
    { name: "z/bias", shape: [1] },
  ])
  return functional(
    inputs,
    [
      [mask("ma"), ["a"]],
      [mask("mb"), ["b"]],
      [layer(className, { name: "m2" }), ["ma", ...second]],
      [rnn, ["m2"]],
    ],
    [["z", 0, 0]],
  )
}

/** A memory some layers behind the mask. */
function maskedPath(random: Random): Draft {
  const [steps, features] = [random.int(2, 5), random.int(1, 3)]
  const name = { name: "p" }
  const width = [features]
  const moments = [
    { name: "p/gamma", shape: width },
    { name: "p/beta", shape: width },
  ]
  const between = random.of<() => LayerDraft>([
    ...["ELU", "LeakyReLU", "ReLU", "ThresholdedReLU", "Flatten"].map((one) => () => layer(one, name)),
    ...["Dropout", "SpatialDropout1D", "AlphaDropout"].map((one) => () => layer(one, { ...name, rate: 0.5 })),
    () => layer("GaussianNoise", { ...name, stddev: 1 }),
    () => layer("Activation", { ...name, activation: "sigmoid" }),
    () => layer("Softmax", { ...name, axis: -1 }),
    () => layer("PReLU", name, [{ name: "p/alpha", shape: [steps, features] }]),
    () => layer("LayerNormalization", { ...name, axis: -1, epsilon: 0.001 }, moments),
    () =>
      layer("BatchNormalization", { ...name, axis: -1, epsilon: 0.001 }, [
        ...moments,
        { name: "p/moving_mean", shape: width },
        { name: "p/moving_variance", shape: width, values: "positive" },
      ]),
    () =>
      layer("TimeDistributed", { ...name, layer: { class_name: "Dense", config: { name: "q", units: features } } }, [
        { name: "p/kernel", shape: [features, features] },
        { name: "p/bias", shape: width },
      ]),
    () =>
      layer("Conv1D", { ...name, filters: features, kernel_size: [1], padding: "valid" }, [
        { name: "p/kernel", shape: [1, features, features] },
        { name: "p/bias", shape: width },
      ]),
  ])()
  const flat = between.className === "Flatten" // no memory fits behind it
  return maskedBefore(steps, features, between, ...(flat ? [] : [memory(features)]))
}

function memory(features: number): LayerDraft {
  return layer("SimpleRNN", { name: "z", units: 2, return_sequences: true, activation: "tanh" }, [
    { name: "z/kernel", shape: [features, 2] },
    { name: "z/recurrent_kernel", shape: [2, 2] },
    { name: "z/bias", shape: [2] },
  ])
}

/** A memory that no mask is meant for, beside one that has one, or behind it. */
function maskedBeside(random: Random): Draft {
  const [steps, features] = [random.int(2, 4), random.int(1, 2)]
  const mask = layer("Masking", { name: "mask", mask_value: 0 })
  const more: Config = { units: 2, activation: "tanh" }
  const one = { ...memory(features), config: { name: "z", ...more } }
  const other = layer("SimpleRNN", { name: "y", ...more }, [
    { name: "y/kernel", shape: [random.once(2) ? features : 2, 2] },
    { name: "y/recurrent_kernel", shape: [2, 2] },
    { name: "y/bias", shape: [2] },
  ])
  const inputs = [{ name: "in", shape: [steps, features], values: { below: 2 } }]
  const behind = other.weights[0]?.shape[0] === 2
  const repeat = layer("RepeatVector", { name: "again", n: steps })
  const path = behind
    ? ([
        [repeat, ["z"]],
        [other, ["again"]],
      ] as const)
    : ([[other, ["in"]]] as const)
  const kept = layer("Concatenate", { name: "both", axis: -1 })
  return functional(inputs, [[mask, ["in"]], [one, ["mask"]], ...path, [kept, ["z", "y"]]], [["both", 0, 0]])
}

/** The mask is made inside a model, the memory stands outside, or the other way round. */
function maskedModel(random: Random): Draft {
  const [steps, features] = [random.int(2, 4), random.int(1, 2)]
  const mask = layer("Masking", { name: "mask", mask_value: 0 })
  const first = { batch_input_shape: [null, steps, features], dtype: "float32" }
  const wrap = (inner: LayerDraft): LayerDraft => {
    const layers = [{ class_name: inner.className, config: { ...inner.config, ...first } }]
    return layer("Sequential", { name: "inner", layers }, inner.weights)
  }
  const inside = random.once(2)
  const inputs = [{ name: "in", shape: [steps, features], values: { below: 2 } }]
  const [one, two] = inside ? [wrap(mask), memory(features)] : [mask, wrap(memory(features))]
  const [nameOne, nameTwo] = inside ? ["inner", "z"] : ["mask", "inner"]
  return functional(
    inputs,
    [
      [one, ["in"]],
      [two, [nameOne]],
    ],
    [[nameTwo, inside ? 0 : 1, 0]],
  )
}

export const sequenceFamilies: readonly Family[] = [
  { layer: "Embedding", count: 120, draft: embedding },
  { layer: "Masking", count: 120, draft: masking },
  { layer: "Masking merge", count: 40, draft: maskedMerge },
  { layer: "Masking path", count: 100, draft: maskedPath },
  { layer: "Masking beside", count: 20, draft: maskedBeside },
  { layer: "Masking model", count: 20, draft: maskedModel },
]
