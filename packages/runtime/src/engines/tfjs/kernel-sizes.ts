/**
 * How many numbers an operation of the library will make, from the shapes of what goes in: known before it runs.
 *
 *     Tile       x [1, 8], reps [1, 33000000]                -> 264,000,000
 *     Conv2D     x [1, 1700, 1700, 1], filter [3, 3, 1, 128] -> 369,920,000
 *
 * Operations that are not listed make no more than the largest of their inputs.
 */
import * as core from "@tensorflow/tfjs-core"
import { elementsIn } from "../../tensors.ts"
import { longestSum } from "./kernels/sum-blocks.ts"

interface Shaped {
  readonly shape: readonly number[]
}

export type KernelInputs = Readonly<Record<string, Shaped | undefined>>
export type KernelAttributes = Readonly<Record<string, unknown>>

type Sizer = (inputs: KernelInputs, attributes: KernelAttributes) => number

export function kernelOutput(name: string, inputs: KernelInputs, attributes: KernelAttributes): number {
  try {
    return (sizers.get(name) ?? largest)(inputs, attributes)
  } catch {
    return largest(inputs) // shapes that do not fit: the library says so in its own words
  }
}

/** Numbers of four bytes that WebAssembly keeps beside input and output while it computes. */
export function kernelScratch(name: string, inputs: KernelInputs, attributes: KernelAttributes): number {
  try {
    if (name.endsWith("MatMul")) return productScratch(inputs, attributes)
    // The sums of one item of the batch, in double (kernels/double-windows.ts).
    if (name.includes("BackpropInput")) return 2 * elementsIn(numbers(attributes["inputShape"]).slice(1))
    return convolutions.has(name) ? convolutionScratch(name, inputs, attributes) : 0
  } catch {
    return 0
  }
}

/** An address for each tap of the kernel at each place of the output. */
function convolutionScratch(name: string, inputs: KernelInputs, attributes: KernelAttributes): number {
  const { outHeight, outWidth, filterHeight, filterWidth, inChannels, outShape } = convolution(name, inputs, attributes)
  const addresses = outHeight * outWidth * filterHeight * filterWidth
  const terms = filterHeight * filterWidth * (depthwise.includes(name) ? 0 : inChannels)
  return addresses + (terms <= longestSum ? 0 : blockScratch(inputs["x"], elementsIn(outShape)))
}

function productScratch(inputs: KernelInputs, attributes: KernelAttributes): number {
  const inner = dim(inputs["a"], attributes["transposeA"] === true ? -2 : -1)
  return inner <= longestSum ? 0 : blockScratch(inputs["a"], product(inputs, attributes))
}

/**
 * What a long sum takes that is added in blocks (kernels/long-sums.ts): the sums in double, the answer of another block, the
 * input with its padding and what a block sees of it.
 */
function blockScratch(input: Shaped | undefined, output: number): number {
  return 3 * output + 3 * elementsOf(input)
}

const depthwise = ["DepthwiseConv2dNative", "FusedDepthwiseConv2D"]
const convolutions = new Set(["Conv2D", "FusedConv2D", ...depthwise])

const broadcasting = `Add Sub Multiply RealDiv FloorDiv Maximum Minimum Mod Pow SquaredDifference Prelu Select Equal NotEqual
  Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr`

const reductions = ["All", "Any", "ArgMax", "ArgMin", "Max", "Mean", "Min", "Prod", "Sum"]
/** They give the same numbers another shape. */
const views = ["ExpandDims", "Identity", "Reshape"]

const sizers: ReadonlyMap<string, Sizer> = new Map<string, Sizer>([
  ...broadcasting.split(/\s+/).map((name): [string, Sizer] => [name, broadcast]),
  ...[...convolutions].map((name): [string, Sizer] => [
    name,
    (inputs, attributes) => elementsIn(convolution(name, inputs, attributes).outShape),
  ]),
  ...reductions.map((name): [string, Sizer] => [name, reduced]),
  ...views.map((name): [string, Sizer] => [name, () => 0]),
  ["Conv3D", convolution3d],
  ["Slice", ({ x }, { size }) => elementsIn(numbers(size).map((wanted, axis) => (wanted < 0 ? dim(x, axis) : wanted)))],
  ["Conv2DBackpropInput", (_, { inputShape }) => elementsIn(numbers(inputShape))],
  ["Conv3DBackpropInputV2", (_, { inputShape }) => elementsIn(numbers(inputShape))],
  ["Fill", (_, { shape }) => elementsIn(numbers(shape))],
  ["Tile", ({ x }, { reps }) => elementsOf(x) * elementsIn(numbers(reps))],
  ["PadV2", padded],
  ["MirrorPad", padded],
  ["ResizeNearestNeighbor", resized],
  ["ResizeBilinear", resized],
  ["CropAndResize", ({ image, boxes }, { cropSize }) => dim(boxes, 0) * elementsIn(numbers(cropSize)) * dim(image, 3)],
  ["BatchMatMul", product],
  ["_FusedMatMul", product],
  ["GatherV2", ({ x, indices }, { axis }) => (elementsOf(x) / Math.max(1, dim(x, Number(axis)))) * elementsOf(indices)],
  ["Concat", together],
  ["Pack", together],
  ["OneHot", ({ indices }, { depth }) => elementsOf(indices) * Number(depth)],
  ["Bincount", (_, { size }) => Number(size)],
  ["DenseBincount", ({ x }, { size }) => dim(x, 0) * Number(size)],
])

function largest(inputs: KernelInputs): number {
  return Math.max(0, ...Object.values(inputs).map(elementsOf))
}

function reduced({ x }: KernelInputs, { axis, reductionIndices = axis }: KernelAttributes): number {
  if (reductionIndices === undefined || reductionIndices === null) return 1
  const axes = [reductionIndices].flat().map(Number)
  return axes.reduce((total, each) => total / Math.max(1, dim(x, each)), elementsOf(x))
}

function together(inputs: KernelInputs): number {
  return Object.values(inputs).reduce((total, input) => total + elementsOf(input), 0)
}

function broadcast(inputs: KernelInputs): number {
  const shapes = Object.values(inputs).map((input) => input?.shape ?? [])
  const rank = Math.max(...shapes.map(({ length }) => length))
  const sizes = Array.from({ length: rank }, (_, back) => Math.max(...shapes.map((shape) => shape.at(-1 - back) ?? 1)))
  return elementsIn(sizes)
}

function padded({ x }: KernelInputs, { paddings }: KernelAttributes): number {
  const added = paddings as readonly (readonly [before: number, after: number])[]
  return elementsIn((x?.shape ?? []).map((size, axis) => size + (added[axis]?.[0] ?? 0) + (added[axis]?.[1] ?? 0)))
}

function resized({ images }: KernelInputs, { size }: KernelAttributes): number {
  return dim(images, 0) * elementsIn(numbers(size)) * dim(images, 3)
}

function product({ a, b }: KernelInputs, { transposeA, transposeB }: KernelAttributes): number {
  const rows = dim(a, transposeA === true ? -1 : -2)
  const columns = dim(b, transposeB === true ? -2 : -1)
  return Math.max(leading(a), leading(b)) * rows * columns
}

function leading(input: Shaped | undefined): number {
  return elementsIn(input?.shape.slice(0, -2) ?? [])
}

function convolution(name: string, { x, filter }: KernelInputs, attributes: KernelAttributes) {
  const { strides, dilations, pad, dimRoundingMode, dataFormat } = attributes as unknown as ConvolutionAttributes
  const format = core.backend_util.convertConv2DDataFormat(dataFormat ?? "NHWC")
  const isDepthwise = depthwise.includes(name)
  const steps = dilations ?? 1
  const [image, taps] = [shape4d(x), shape4d(filter)]
  return core.backend_util.computeConv2DInfo(image, taps, strides, steps, pad, dimRoundingMode, isDepthwise, format)
}

function convolution3d({ x, filter }: KernelInputs, attributes: KernelAttributes): number {
  const { strides, dilations, pad } = attributes as unknown as ConvolutionAttributes<[number, number, number]>
  type Shape5d = [number, number, number, number, number]
  const [image, taps] = [x?.shape, filter?.shape].map((shape) => [...(shape ?? [])] as Shape5d)
  if (image === undefined || taps === undefined) return 0
  return elementsIn(core.backend_util.computeConv3DInfo(image, taps, strides, dilations ?? 1, pad).outShape)
}

interface ConvolutionAttributes<Steps = [number, number]> {
  readonly strides: Steps
  readonly dilations: Steps | null | undefined
  readonly pad: "valid" | "same" | number
  readonly dimRoundingMode: "floor" | "round" | "ceil"
  readonly dataFormat: "NHWC" | "NCHW" | undefined
}

function shape4d(input: Shaped | undefined): [number, number, number, number] {
  return [...(input?.shape ?? [])] as [number, number, number, number]
}

function elementsOf(input: Shaped | undefined): number {
  return elementsIn(input?.shape ?? [])
}

function dim(input: Shaped | undefined, axis: number): number {
  return input?.shape.at(axis) ?? 1
}

function numbers(value: unknown): readonly number[] {
  return Array.isArray(value) ? value.map(Number) : []
}
