/**
 * How the sum of a kernel is cut into blocks: which slices of its inputs each block takes.
 *
 *     BatchMatMul  [3, 2000] · [2000, 7]     a[:, 0:500] · b[0:500, :], a[:, 500:1000] · b[500:1000, :], …
 */
import type { TensorInfo } from "@tensorflow/tfjs-core"
import type { TensorFlow } from "../backend.ts"
import type { KernelCall } from "./wrap.ts"

/** Products, or numbers of an average or a softmax, that a backend may add in float32. */
export const longestSum = 600

export interface Slice {
  readonly begin: number[]
  readonly size: number[]
}
/** By input: what the block takes of it; the others it takes whole. */
export type Block = Readonly<Record<string, Slice>>

export interface BlockOf {
  readonly parts: readonly Block[]
  /** The input `x` is padded first, or `null`. */
  readonly padding: { readonly paddings: [number, number][]; readonly constantValue: number } | null
  /** What the parts are asked with instead of the call's own. */
  readonly attrs: Readonly<Record<string, string>>
}

type Plan = (call: KernelCall) => BlockOf | null

/** The way to cut this kernel's sum, or `null` when it sums no products. A plan gives `null` for what it does not cut. */
export function blocksOf(tf: TensorFlow, kernel: string, longest: number): Plan | null {
  if (kernel === "BatchMatMul" || kernel === "_FusedMatMul") return (call) => matMulBlocks(call, longest)
  const isConvolution = kernel === "Conv2D" || kernel === "FusedConv2D"
  return isConvolution ? (call) => convolutionBlocks(tf, call, longest) : null
}

function matMulBlocks({ inputs, attrs }: KernelCall, longest: number): BlockOf | null {
  const [a, b] = [inputs["a"], inputs["b"]]
  if (a === undefined || b === undefined) return null
  const axisOfA = a.shape.length - (attrs?.["transposeA"] === true ? 2 : 1)
  const axisOfB = b.shape.length - (attrs?.["transposeB"] === true ? 1 : 2)
  return plain(
    runs(a.shape[axisOfA] ?? 0, longest).map((run) => ({ a: sliceOf(a, axisOfA, run), b: sliceOf(b, axisOfB, run) })),
  )
}

function convolutionBlocks(tf: TensorFlow, { inputs, attrs }: KernelCall, longest: number): BlockOf | null {
  const [x, filter] = [inputs["x"], inputs["filter"]]
  if (x === undefined || filter === undefined || isChannelsFirst(attrs)) return null
  const summed = filter.shape.slice(0, 3)
  if (sizeOf(summed) <= longest) return null
  const boxes = boxesOf(summed, longest)
  if (sizeOf(filter.shape.slice(0, 2)) > 1) return bySpace(geometry(tf, x, filter, attrs), x, filter, boxes)
  // One place: all that is cut are the channels, and any padding stays what it is.
  return plain(boxes.map((box) => ({ x: sliceOf(x, 3, box[2] as Run), filter: boxOf(filter, box) })))
}

interface Axis {
  readonly kernel: number
  readonly stride: number
  readonly dilation: number
  readonly before: number
  readonly output: number
}

/** The input is padded to where the kernel reaches; then each box of the kernel meets a box of the input, without padding. */
function bySpace(axes: readonly Axis[], x: TensorInfo, filter: TensorInfo, boxes: readonly Run[][]): BlockOf {
  const paddings = axes.map(({ kernel, stride, dilation, before, output }, at): [number, number] => {
    const end = (output - 1) * stride + (kernel - 1) * dilation + 1 - before
    return [Math.max(0, before), Math.max(0, end - (x.shape[at + 1] ?? 0))]
  })
  const parts = boxes.map((box): Block => {
    const ofX = axes.map(({ stride, dilation, before, output }, at): Run => {
      const { start, length } = box[at] as Run
      return {
        start: Math.max(0, -before) + start * dilation,
        length: (output - 1) * stride + (length - 1) * dilation + 1,
      }
    })
    const whole: Run = { start: 0, length: x.shape[0] ?? 0 }
    return { x: boxOf(x, [whole, ...ofX, ...box.slice(2)]), filter: boxOf(filter, box) }
  })
  return {
    parts,
    padding: { paddings: [[0, 0], ...paddings, [0, 0]], constantValue: 0 },
    attrs: { pad: "valid" },
  }
}

/** Boxes of at most `longest` that fill the sizes, each of them one run of memory. */
function boxesOf(sizes: readonly number[], longest: number): Run[][] {
  const [first, ...rest] = sizes
  if (first === undefined) return [[]]
  const inner = sizeOf(rest)
  const whole = rest.map((length) => ({ start: 0, length }))
  if (inner <= longest) return runs(first, Math.floor(longest / inner)).map((run) => [run, ...whole])
  return runs(first, 1).flatMap((run) => boxesOf(rest, longest).map((more) => [run, ...more]))
}

function geometry(tf: TensorFlow, x: TensorInfo, filter: TensorInfo, attrs: KernelCall["attrs"]): Axis[] {
  const { strides, pad, dilations, dimRoundingMode } = attrs as unknown as ConvolutionAttrs
  const [image, kernel] = [x.shape as Shape4, filter.shape as Shape4]
  const at = tf.backend_util.computeConv2DInfo(image, kernel, strides, dilations ?? 1, pad, dimRoundingMode)
  return [
    {
      kernel: at.filterHeight,
      stride: at.strideHeight,
      dilation: at.dilationHeight,
      before: at.padInfo.top,
      output: at.outHeight,
    },
    {
      kernel: at.filterWidth,
      stride: at.strideWidth,
      dilation: at.dilationWidth,
      before: at.padInfo.left,
      output: at.outWidth,
    },
  ]
}

type Shape4 = [number, number, number, number]
interface ConvolutionAttrs {
  readonly strides: number | [number, number]
  readonly pad: "same" | "valid" | number
  readonly dilations?: number | [number, number]
  readonly dimRoundingMode?: "floor" | "round" | "ceil"
}

interface Run {
  readonly start: number
  readonly length: number
}

/** `total` in as few runs of at most `most` as can be, of nearly one length, a multiple of four where that is to be had. */
function runs(total: number, most: number): Run[] {
  const even = Math.ceil(total / Math.ceil(total / most))
  const length = Math.min(most, Math.ceil(even / 4) * 4)
  return Array.from({ length: Math.ceil(total / length) }, (_, at) => ({
    start: at * length,
    length: Math.min(length, total - at * length),
  }))
}

function sliceOf({ shape }: TensorInfo, axis: number, { start, length }: Run): Slice {
  return {
    begin: shape.map((_, at) => (at === axis ? start : 0)),
    size: shape.map((size, at) => (at === axis ? length : size)),
  }
}

/** The first axes in these runs, the others whole. */
function boxOf({ shape }: TensorInfo, box: readonly Run[]): Slice {
  return {
    begin: shape.map((_, at) => box[at]?.start ?? 0),
    size: shape.map((size, at) => box[at]?.length ?? size),
  }
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

function plain(parts: readonly Block[]): BlockOf {
  return { parts, padding: null, attrs: {} }
}

// The library's layers turn channels_first around before they ask.
function isChannelsFirst(attrs: KernelCall["attrs"]): boolean {
  return attrs?.["dataFormat"] === "NCHW"
}
