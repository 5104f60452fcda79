/** Layers that work on each number, or along one axis, and Dense. */
import { type Config, type Draft, type Family, layer, sequential } from "../case.ts"
import type { Random } from "../random.ts"

/** As Keras spells them. */
export const activations: readonly string[] =
  `elu gelu gelu_new hard_sigmoid linear log_softmax mish relu relu6 selu sigmoid softmax softplus softsign swish tanh`.split(
    " ",
  )

/** Mostly the common ones. */
export function activation(random: Random): string {
  return random.of(random.once(2) ? activations : ["linear", "relu", "relu6", "sigmoid", "tanh"])
}

export function anyShape(random: Random, leastRank: number, mostRank: number): number[] {
  const rank = random.int(leastRank, mostRank)
  return random.many(rank, () => random.int(1, [9, 6, 4, 3][rank - 1] ?? 3))
}

function elementwise(className: string, config: (random: Random, shape: readonly number[]) => Config) {
  return (random: Random): Draft => {
    const shape = anyShape(random, 1, 4)
    return sequential({ shape }, layer(className, config(random, shape)))
  }
}

function dense(random: Random): Draft {
  const shape = anyShape(random, 1, 3)
  const units = random.int(1, 9)
  const useBias = !random.once(4)
  const kernel = { name: "x/kernel", shape: [shape.at(-1) ?? 1, units], values: "small" as const }
  const bias = { name: "x/bias", shape: [units] }
  const config = { units, use_bias: useBias, activation: activation(random) }
  return sequential({ shape }, layer("Dense", config, useBias ? [kernel, bias] : [kernel]))
}

function prelu(random: Random): Draft {
  const shape = anyShape(random, 1, 4)
  const shared = shape.flatMap((_, axis) => (random.once(3) ? [axis + 1] : []))
  const alpha = shape.map((size, axis) => (shared.includes(axis + 1) ? 1 : size))
  const config = { shared_axes: shared.length === 0 ? null : shared }
  return sequential({ shape }, layer("PReLU", config, [{ name: "x/alpha", shape: alpha }]))
}

export const activationFamilies: readonly Family[] = [
  {
    layer: "Activation",
    count: 200,
    draft: elementwise("Activation", (random) => ({ activation: random.of(activations) })),
  },
  { layer: "Dense", count: 300, draft: dense },
  { layer: "ELU", count: 30, draft: elementwise("ELU", (random) => ({ alpha: random.of([1, 1, 0.5]) })) },
  {
    layer: "LeakyReLU",
    count: 40,
    draft: elementwise("LeakyReLU", (random) => ({ alpha: random.of([0, 0.125, 0.3, 1.5]) })),
  },
  { layer: "PReLU", count: 80, draft: prelu },
  {
    layer: "ReLU",
    count: 100,
    draft: elementwise("ReLU", (random) => ({
      max_value: random.of([null, 6, 1, 0.5]),
      negative_slope: random.of([0, 0, 0.25]),
      threshold: random.of([0, 0, 0.5]),
    })),
  },
  {
    layer: "Softmax",
    count: 80,
    draft: elementwise("Softmax", (random, shape) => ({ axis: random.of([-1, -1, random.int(1, shape.length)]) })),
  },
  {
    layer: "ThresholdedReLU",
    count: 30,
    draft: elementwise("ThresholdedReLU", (random) => ({ theta: random.of([1, 0.5, 0]) })),
  },
]
