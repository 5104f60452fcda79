/**
 * What 1e-5 on small tensors does not see: values that are not finite, which a ReLU or a sigmoid makes smooth again, and
 * sums over so many numbers that a float32 no longer grows. What Keras answers is plain to say.
 */
import { difference } from "./answers.ts"
import {
  type Draft,
  functional,
  layer,
  type LayerDraft,
  type MatrixCase,
  sequential,
  type TensorOfCase,
} from "./case.ts"
import type { Outcome } from "./run-case.ts"

export interface Extreme {
  readonly one: MatrixCase
  /** The only number in the answer; `null` when the model has to be refused. */
  readonly answer: number | null
}

function fixed(
  id: string,
  { topology, inputs, weights }: Draft,
  batch: number,
  values: (name: string, at: number) => number,
): MatrixCase {
  const fill = (name: string, shape: readonly number[]): TensorOfCase => {
    const count = shape.reduce((product, size) => product * size, 1)
    return { name, shape, dtype: "float32", values: Array.from({ length: count }, (_, at) => values(name, at)) }
  }
  return {
    id,
    layer: "extreme",
    topology,
    inputs: inputs.map(({ name, shape }) => fill(name, [batch, ...shape])),
    weights: weights.map(({ name, shape }) => fill(name, shape)),
  }
}

const dense = layer("Dense", { name: "d", units: 2, activation: "linear" }, [
  { name: "d/kernel", shape: [2, 2] },
  { name: "d/bias", shape: [2] },
])

const inActivation = (activation: string): LayerDraft => {
  return { ...dense, config: { ...dense.config, activation } }
}

const activations = ["relu", "relu6", "sigmoid", "tanh", "softsign", "hard_sigmoid", "softmax", "elu", "softplus"]
const repeat = layer("RepeatVector", { name: "r", n: 2 })

/** Each would make something finite of NaN or Infinity on one engine or another. */
const smoothing: Readonly<Record<string, Draft>> = {
  ...Object.fromEntries(
    activations.map((name) => [`${name} in Dense`, sequential({ shape: [2] }, inActivation(name))]),
  ),
  ...Object.fromEntries(
    activations.map((name) => [name, sequential({ shape: [2] }, dense, layer("Activation", { activation: name }))]),
  ),
  ReLU: sequential({ shape: [2] }, dense, layer("ReLU", {})),
  ThresholdedReLU: sequential({ shape: [2] }, dense, layer("ThresholdedReLU", {})),
  MaxPooling1D: sequential({ shape: [2] }, dense, repeat, layer("MaxPooling1D", { pool_size: [2] })),
  GlobalMaxPooling1D: sequential({ shape: [2] }, dense, repeat, layer("GlobalMaxPooling1D", {})),
  ...Object.fromEntries(
    ["Maximum", "Minimum"].map((name) => [
      name,
      functional(
        [{ name: "in", shape: [2] }],
        [
          [dense, ["in"]],
          [layer(name, {}), ["d", "in"]],
        ],
        [["x", 0, 0]],
      ),
    ]),
  ),
}

const notFinite = Object.entries(smoothing).flatMap(([name, draft]) =>
  [NaN, Infinity, -Infinity].map((bias): Extreme => {
    const values = (tensor: string, at: number): number => (tensor === "d/bias" && at === 0 ? bias : 1)
    return { one: fixed(`${bias} before ${name}`, draft, 1, values), answer: null }
  }),
)

const overflow: Extreme = {
  one: fixed("an overflow before sigmoid", smoothing["sigmoid"] ?? sequential({ shape: [2] }), 1, () => 3e38),
  answer: null,
}

const wide = { shape: [1600, 1600, 1] }
const sums: readonly Extreme[] = [
  { one: fixed("mean of a picture", sequential(wide, layer("GlobalAveragePooling2D", {})), 1, () => 9), answer: 9 },
  {
    one: fixed(
      "mean of 2,000,000 steps",
      sequential({ shape: [2_000_000, 1] }, layer("GlobalAveragePooling1D", {})),
      1,
      () => 1.1,
    ),
    answer: 1.1,
  },
  {
    one: fixed(
      "mean over windows",
      sequential(wide, layer("AveragePooling2D", { pool_size: [1600, 1600] })),
      1,
      () => 9,
    ),
    answer: 9,
  },
]

const tenth = Math.fround(0.1)

/** All numbers are tenths: `terms` products of them. */
function products(id: string, draft: Draft, terms: number): Extreme {
  return { one: fixed(id, draft, 1, () => tenth), answer: terms * tenth * tenth }
}

function convolution(className: string, kernel: readonly number[], channels: number): Draft {
  const config = { filters: 1, kernel_size: kernel, use_bias: false, activation: "linear" }
  const weights = [{ name: "x/kernel", shape: [...kernel, channels, 1] }]
  return sequential({ shape: [...kernel, channels] }, layer(className, config, weights))
}

function sumOf(inner: number, units: number): LayerDraft {
  const weights = [{ name: "s/kernel", shape: [inner, units] }]
  return layer("Dense", { name: "s", units, use_bias: false, activation: "linear" }, weights)
}

const pair = ["a", "b"].map((name) => ({ name, shape: [5, 100_000] }))

const longSums: readonly Extreme[] = [
  products("a million products in Dense", sequential({ shape: [1_000_000] }, sumOf(1_000_000, 1)), 1_000_000),
  products("20 sums of 50,000 products", sequential({ shape: [50_000] }, sumOf(50_000, 20)), 50_000),
  products("a kernel of 10,000 steps", convolution("Conv1D", [10_000], 1), 10_000),
  products("a kernel over all of 7 × 7 × 512", convolution("Conv2D", [7, 7], 512), 7 * 7 * 512),
  products("a kernel of 300 × 300", convolution("Conv2D", [300, 300], 1), 90_000),
  products("a kernel of 45 × 45 × 45", convolution("Conv3D", [45, 45, 45], 1), 45 ** 3),
  products(
    "Dot over 100,000",
    functional(pair, [[layer("Dot", { axes: [2, 2] }), ["a", "b"]]], [["x", 0, 0]]),
    100_000,
  ),
  {
    // One class is as likely as 55 of the others.
    one: fixed(
      "softmax over 200,000",
      sequential({ shape: [200_000] }, layer("Softmax", {}), sumOf(200_000, 1)),
      1,
      (name, at) => (name === "in" && at > 0 ? -3 : 1),
    ),
    answer: 1,
  },
]

const negatives: Extreme = {
  one: fixed(
    "largest of negatives",
    sequential({ shape: [2, 2, 2, 1] }, layer("MaxPooling3D", { pool_size: [2, 2, 2] })),
    1,
    (_, at) => -1 - at,
  ),
  answer: -1,
}

export const extremes: readonly Extreme[] = [...notFinite, overflow, ...sums, ...longSums, negatives]

/** What is wrong with the outcome, or `null`; to pass a model over is never wrong. */
export function extremeFault({ answer }: Extreme, outcome: Outcome): string | null {
  if ("why" in outcome) return null
  if (answer === null) return `answered ${outcome.answers[0]?.values[0]}, though a value inside is not finite`
  const [found] = outcome.answers
  return difference(outcome.answers, [
    { shape: found?.shape ?? [], values: Array.from(found?.values ?? [], () => answer) },
  ])
}
