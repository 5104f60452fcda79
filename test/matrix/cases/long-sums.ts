/**
 * Layers that add up hundreds and thousands of products of one sign, where float32 sums lose the last digits. Most of the
 * tensors hold one number all over, which is what rounds the most in one direction.
 */
import { type Config, type Draft, type Family, functional, layer, sequential, type Values } from "../case.ts"
import type { Random } from "../random.ts"

const anyValues = (random: Random): Values => (random.once(4) ? "positive" : "same")

/** Some hundred terms, to a few thousand. */
function terms(random: Random, most: number): number {
  return random.of([513, 700, 1024, 1500, 2049, 4096, 6000]) % most || most
}

function dense(random: Random): Draft {
  const [inner, units] = [terms(random, 6001), random.int(1, 3)]
  const config = { units, use_bias: random.once(2), activation: random.of(["linear", "relu", "elu"]) }
  const rows = random.once(3) ? [random.int(2, 4)] : []
  const kernel = { name: "x/kernel", shape: [inner, units], values: anyValues(random) }
  const bias = { name: "x/bias", shape: [units] }
  const weights = config.use_bias ? [kernel, bias] : [kernel]
  return sequential({ shape: [...rows, inner], values: anyValues(random) }, layer("Dense", config, weights))
}

/** Kernels with many cells, with many channels, and with both. */
function convolution(className: string, rank: number): (random: Random) => Draft {
  return (random) => {
    const kernel = random.of(kernels[rank - 1] ?? [])
    const channels = Math.max(1, Math.ceil(random.of([520, 1100, 3000, 6000]) / product(kernel)))
    const dilation = random.once(4) ? 2 : 1
    const stride = dilation === 1 ? random.int(1, 2) : 1
    const padding = random.of(["valid", "same"])
    const sizes = kernel.map((size) => (size - 1) * dilation + 1 + random.int(0, rank === 1 ? 6 : 2))
    const filters = random.int(1, 2)
    // `same` pads at the border, where fewer terms are added; short axes keep the answers few.
    const shorter = padding === "same" ? sizes.map((size) => Math.max(stride, Math.min(size, 7))) : sizes
    const config = {
      filters,
      kernel_size: kernel,
      strides: kernel.map(() => stride),
      padding: rank === 3 && shorter.some((size, axis) => (kernel[axis] ?? 1) < stride && size > 1) ? "valid" : padding,
      dilation_rate: kernel.map(() => (rank === 3 ? 1 : dilation)),
      use_bias: random.once(2),
      activation: random.of(["linear", "relu"]),
    }
    const weights = [
      { name: "x/kernel", shape: [...kernel, channels, filters], values: anyValues(random) },
      ...(config.use_bias ? [{ name: "x/bias", shape: [filters] }] : []),
    ]
    const used = config.padding === "same" ? shorter : sizes
    return sequential({ shape: [...used, channels], values: anyValues(random) }, layer(className, config, weights))
  }
}

const kernels: readonly (readonly number[])[][] = [
  [[1], [3], [40], [700], [2000]],
  [
    [1, 1],
    [3, 3],
    [1, 600],
    [25, 25],
    [7, 7],
    [30, 2],
  ],
  [
    [1, 1, 1],
    [3, 3, 3],
    [9, 9, 9],
    [2, 3, 4],
  ],
]

function transposed(className: string, rank: number): (random: Random) => Draft {
  return (random) => {
    const kernel = Array.from({ length: rank }, () => random.int(1, 2))
    const [channels, filters] = [random.of([600, 1500, 5000]), random.int(1, 2)]
    const config = {
      filters,
      kernel_size: kernel,
      strides: kernel.map(() => 1),
      padding: random.of(["valid", "same"]),
      use_bias: random.once(2),
    }
    const weights = [
      { name: "x/kernel", shape: [...kernel, filters, channels], values: anyValues(random) },
      ...(config.use_bias ? [{ name: "x/bias", shape: [filters] }] : []),
    ]
    const shape = [...kernel.map(() => random.int(1, 2)), channels]
    return sequential({ shape, values: anyValues(random) }, layer(className, config, weights))
  }
}

function depthwise(random: Random): Draft {
  const kernel = random.of([
    [24, 24],
    [1, 1000],
    [70, 70],
  ])
  const [channels, times] = [random.int(1, 2), random.int(1, 2)]
  const config: Config = { depth_multiplier: times, kernel_size: kernel, use_bias: false, activation: "linear" }
  const weights = [{ name: "x/depthwise_kernel", shape: [...kernel, channels, times], values: anyValues(random) }]
  const shape = [...kernel.map((size) => size + random.int(0, 2)), channels]
  return sequential({ shape, values: anyValues(random) }, layer("DepthwiseConv2D", config, weights))
}

function separable(random: Random): Draft {
  const [channels, filters] = [random.of([600, 1500, 5000]), random.int(1, 2)]
  const config: Config = { filters, kernel_size: [1, 2], use_bias: false, activation: "linear" }
  const weights = [
    { name: "x/depthwise_kernel", shape: [1, 2, channels, 1], values: anyValues(random) },
    { name: "x/pointwise_kernel", shape: [1, 1, channels, filters], values: anyValues(random) },
  ]
  return sequential({ shape: [1, 3, channels], values: anyValues(random) }, layer("SeparableConv2D", config, weights))
}

function dot(random: Random): Draft {
  const [shared, rows, columns] = [terms(random, 6001), random.int(1, 3), random.int(1, 2)]
  const choices: [number | number[], number[], number[]][] = [
    [1, [shared], [shared]],
    [
      [2, 1],
      [rows, shared],
      [shared, columns],
    ],
    [
      [1, 2],
      [shared, rows],
      [columns, shared],
    ],
  ]
  const [axes, left, right] = random.of(choices)
  const inputs = [left, right].map((shape, index) => ({ name: `in${index}`, shape, values: anyValues(random) }))
  const config = { axes, normalize: random.once(3) }
  return functional(inputs, [[layer("Dot", config), inputs.map(({ name }) => name)]], [["x", 0, 0]])
}

/** Without a bend that would hide the digits. */
function recurrent(className: string, gates: number): (random: Random) => Draft {
  return (random) => {
    const [features, units] = [terms(random, 6001), 1]
    const config: Config = {
      units,
      activation: "linear",
      use_bias: false,
      ...(gates > 1 ? { recurrent_activation: "hard_sigmoid", implementation: 1 } : {}),
      ...(className === "GRU" ? { reset_after: false } : {}),
    }
    const weights = [
      { name: "x/kernel", shape: [features, units * gates], values: anyValues(random) },
      { name: "x/recurrent_kernel", shape: [units, units * gates], values: "small" as const },
    ]
    return sequential({ shape: [1, features], values: anyValues(random) }, layer(className, config, weights))
  }
}

function average(className: string, rank: number): (random: Random) => Draft {
  return (random) => {
    const side = [2000, 50, 13][rank - 1] ?? 13
    const sizes = Array.from({ length: rank }, () => side + random.int(0, 2))
    const config = { pool_size: sizes.map(() => side), strides: null, padding: random.of(["valid", "same"]) }
    return sequential({ shape: [...sizes, 1], values: anyValues(random) }, layer(className, config))
  }
}

function alongLastAxis(className: string): (random: Random) => Draft {
  return (random) => {
    const most = layer("GlobalMaxPooling1D", { name: "most" })
    const inner = layer(className, className === "LayerNormalization" ? { center: false, scale: false } : {})
    const shape = [3, terms(random, 6001)]
    return sequential(
      { shape, values: "any" },
      inner,
      most,
      layer("Dense", { name: "sum", units: 1, use_bias: false }, [
        { name: "sum/kernel", shape: [shape[1] ?? 1, 1], values: "same" },
      ]),
    )
  }
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * size, 1)
}

export const longSumFamilies: readonly Family[] = [
  { layer: "Dense long", count: 14, draft: dense },
  { layer: "Conv1D long", count: 14, draft: convolution("Conv1D", 1) },
  { layer: "Conv2D long", count: 20, draft: convolution("Conv2D", 2) },
  { layer: "Conv3D long", count: 12, draft: convolution("Conv3D", 3) },
  { layer: "Conv2DTranspose long", count: 8, draft: transposed("Conv2DTranspose", 2) },
  { layer: "Conv3DTranspose long", count: 6, draft: transposed("Conv3DTranspose", 3) },
  { layer: "DepthwiseConv2D long", count: 6, draft: depthwise },
  { layer: "SeparableConv2D long", count: 6, draft: separable },
  { layer: "Dot long", count: 12, draft: dot },
  { layer: "SimpleRNN long", count: 6, draft: recurrent("SimpleRNN", 1) },
  { layer: "LSTM long", count: 6, draft: recurrent("LSTM", 4) },
  { layer: "GRU long", count: 6, draft: recurrent("GRU", 3) },
  { layer: "AveragePooling1D long", count: 4, draft: average("AveragePooling1D", 1) },
  { layer: "AveragePooling2D long", count: 4, draft: average("AveragePooling2D", 2) },
  { layer: "AveragePooling3D long", count: 4, draft: average("AveragePooling3D", 3) },
  { layer: "Softmax long", count: 4, draft: alongLastAxis("Softmax") },
  { layer: "LayerNormalization long", count: 4, draft: alongLastAxis("LayerNormalization") },
]
