/** Convolutions of one to three axes, plain, transposed, depthwise and separable. */
import { type Config, type Draft, type Family, layer, maxAnswer, sequential, type WeightDraft } from "../case.ts"
import type { Random } from "../random.ts"
import { activation } from "./activation.ts"

interface Geometry {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilation: readonly number[]
  readonly padding: string
  readonly first: boolean
  readonly sizes: readonly number[]
  readonly channels: number
}

/** The settings that every convolution has. */
function geometry(random: Random, rank: number, options: { transposed?: boolean } = {}): Geometry {
  const dilated = random.once(options.transposed === true ? 12 : 4)
  const strides = random.many(rank, () => (dilated ? 1 : random.of([1, 1, 2, 3, 4])))
  const even = random.once(2) // as most people write it: one number for all axes
  const square = (values: number[]): number[] => (even ? values.map(() => values[0] ?? 1) : values)
  const largest = [11, 7, 4][rank - 1] ?? 4
  return {
    kernel: square(random.many(rank, () => random.int(1, rank === 3 ? 3 : 4))),
    strides: square(strides),
    dilation: square(random.many(rank, () => (dilated ? random.int(1, 3) : 1))),
    padding: random.of(["valid", "same"]),
    first: random.once(4),
    sizes: random.many(rank, () => random.int(1, options.transposed === true ? Math.ceil(largest / 2) : largest)),
    channels: random.int(1, 4),
  }
}

function outputSize({ kernel, strides, dilation, padding, sizes }: Geometry): number {
  return sizes.reduce((product, size, axis) => {
    const stride = strides[axis] ?? 1
    const reach = ((kernel[axis] ?? 1) - 1) * (dilation[axis] ?? 1)
    return product * (padding === "same" ? Math.ceil(size / stride) : Math.max(0, Math.ceil((size - reach) / stride)))
  }, 1)
}

function transposedSize({ kernel, strides, padding, sizes }: Geometry): number {
  return sizes.reduce((product, size, axis) => {
    const stride = strides[axis] ?? 1
    return product * (size * stride + (padding === "same" ? 0 : Math.max((kernel[axis] ?? 1) - stride, 0)))
  }, 1)
}

function input({ sizes, channels, first }: Geometry): { shape: number[] } {
  return { shape: first ? [channels, ...sizes] : [...sizes, channels] }
}

function settings(g: Geometry, more: Config): Config {
  return {
    kernel_size: g.kernel,
    strides: g.strides,
    padding: g.padding,
    data_format: g.first ? "channels_first" : "channels_last",
    ...more,
  }
}

function kernelAndBias(useBias: boolean, kernel: readonly WeightDraft[], filters: number): WeightDraft[] {
  return useBias ? [...kernel, { name: "x/bias", shape: [filters] }] : [...kernel]
}

function fits(size: number, filters: number): boolean {
  return size > 0 && size * filters <= maxAnswer / 2
}

function plain(className: string, rank: number): (random: Random) => Draft | null {
  return (random) => {
    const g = geometry(random, rank)
    const filters = random.int(1, 4)
    const useBias = !random.once(4)
    if (!fits(outputSize(g), filters)) return null
    const groups = random.once(12) && g.channels % 2 === 0 && filters % 2 === 0 ? 2 : 1
    const config = { filters, groups, use_bias: useBias, dilation_rate: g.dilation, activation: activation(random) }
    const kernel = { name: "x/kernel", shape: [...g.kernel, g.channels / groups, filters], values: "small" as const }
    return sequential(input(g), layer(className, settings(g, config), kernelAndBias(useBias, [kernel], filters)))
  }
}

function transposed(className: string, rank: number): (random: Random) => Draft | null {
  return (random) => {
    const g = geometry(random, rank, { transposed: true })
    const filters = random.int(1, 3)
    const useBias = !random.once(4)
    if (!fits(transposedSize(g), filters)) return null
    const more = random.once(8)
      ? { output_padding: g.strides.map((stride) => stride - 1) }
      : { dilation_rate: g.dilation }
    const config = { filters, use_bias: useBias, activation: activation(random), ...more }
    const kernel = { name: "x/kernel", shape: [...g.kernel, filters, g.channels], values: "small" as const }
    return sequential(input(g), layer(className, settings(g, config), kernelAndBias(useBias, [kernel], filters)))
  }
}

function depthwise(random: Random): Draft | null {
  const g = squareStrides(geometry(random, 2))
  const multiplier = random.int(1, 3)
  const useBias = !random.once(4)
  const filters = g.channels * multiplier
  if (!fits(outputSize(g), filters)) return null
  const config = {
    depth_multiplier: multiplier,
    use_bias: useBias,
    dilation_rate: g.dilation,
    activation: activation(random),
  }
  const kernel = { name: "x/depthwise_kernel", shape: [...g.kernel, g.channels, multiplier], values: "small" as const }
  return sequential(input(g), layer("DepthwiseConv2D", settings(g, config), kernelAndBias(useBias, [kernel], filters)))
}

function separable(random: Random): Draft | null {
  const g = squareStrides(geometry(random, 2))
  const multiplier = random.int(1, 3)
  const filters = random.int(1, 4)
  const useBias = !random.once(4)
  if (!fits(outputSize(g), filters)) return null
  const config = {
    filters,
    depth_multiplier: multiplier,
    use_bias: useBias,
    dilation_rate: g.dilation,
    activation: activation(random),
  }
  const kernels: WeightDraft[] = [
    { name: "x/depthwise_kernel", shape: [...g.kernel, g.channels, multiplier], values: "small" },
    { name: "x/pointwise_kernel", shape: [1, 1, g.channels * multiplier, filters] },
  ]
  return sequential(input(g), layer("SeparableConv2D", settings(g, config), kernelAndBias(useBias, kernels, filters)))
}

// TensorFlow computes depthwise convolutions with one stride for both axes only.
function squareStrides(g: Geometry): Geometry {
  return { ...g, strides: g.strides.map(() => g.strides[0] ?? 1) }
}

export const convolutionFamilies: readonly Family[] = [
  { layer: "Conv1D", count: 500, draft: plain("Conv1D", 1) },
  { layer: "Conv2D", count: 700, draft: plain("Conv2D", 2) },
  { layer: "Conv3D", count: 250, draft: plain("Conv3D", 3) },
  { layer: "Conv2DTranspose", count: 350, draft: transposed("Conv2DTranspose", 2) },
  { layer: "Conv3DTranspose", count: 150, draft: transposed("Conv3DTranspose", 3) },
  { layer: "DepthwiseConv2D", count: 350, draft: depthwise },
  { layer: "SeparableConv2D", count: 350, draft: separable },
]
