/**
 * The kernels that multiply and add, as computations in double precision on plain memory.
 *
 *     _FusedMatMul   a [1, 2, 1000], b [1, 1000, 3], bias [3]     2 · 3 sums of 1,000 terms
 *     Conv2D         x [1, 9, 9, 64], filter [3, 3, 64, 8]        7 · 7 · 8 sums of 576 terms
 */
import type { TensorInfo } from "@tensorflow/tfjs-core"
import type { TensorFlow } from "../backend.ts"
import { multiply, type Product } from "./double-matmul.ts"
import { average, convolve, convolveDepthwise, convolveTransposed, type Grid, type Windows } from "./double-windows.ts"
import type { KernelCall } from "./wrap.ts"

export type Values = (tensor: TensorInfo) => Float32Array

export interface Contraction {
  /** How many numbers are added up for each of the answer. */
  readonly terms: number
  readonly shape: readonly number[]
  readonly compute: (read: Values, out: Float32Array) => void
}

type Describe = (tf: TensorFlow, call: KernelCall) => Contraction

const describers: Readonly<Record<string, Describe>> = {
  BatchMatMul: matMul,
  _FusedMatMul: matMul,
  Conv2D: conv2d(convolve),
  FusedConv2D: conv2d(convolve),
  DepthwiseConv2dNative: conv2d(convolveDepthwise),
  FusedDepthwiseConv2D: conv2d(convolveDepthwise),
  Conv3D: conv3d,
  Conv2DBackpropInput: conv2dTranspose,
  Conv3DBackpropInputV2: conv3dTranspose,
  AvgPool: averagePool2d,
  AvgPool3D: averagePool3d,
}

/**
 * `null` for a kernel that is none, and for what it can't do: other numbers than float32, an activation within (finite.ts
 * asks without), a bias other than one number for each channel.
 */
export function contractionOf(tf: TensorFlow, name: string, call: KernelCall): Contraction | null {
  const describe = describers[name]
  const { preluActivationWeights: alpha, ...inputs } = call.inputs
  const activation = call.attrs?.["activation"] ?? "linear"
  if (describe === undefined || activation !== "linear" || alpha !== undefined) return null
  if (Object.values(inputs).some((input) => input && input.dtype !== "float32")) return null
  const found = describe(tf, call)
  return fitsBias(inputs["bias"], found.shape, call.attrs?.["dataFormat"]) ? found : null
}

export function isContraction(name: string): boolean {
  return name in describers
}

function fitsBias(bias: TensorInfo | undefined, shape: readonly number[], dataFormat: unknown): boolean {
  if (!bias) return true
  const channels = dataFormat === "NCHW" ? shape[1] : shape.at(-1)
  const size = bias.shape.reduce((product, each) => product * each, 1)
  return (
    size === 1 || (size === channels && (dataFormat === "NCHW" ? bias.shape.length === 1 : bias.shape.at(-1) === size))
  )
}

function matMul(tf: TensorFlow, call: KernelCall): Contraction {
  const product = productOf(tf, call)
  const [a, b] = [input(call, "a"), input(call, "b")]
  const outer = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2))
  return {
    terms: product.inner,
    shape: [...outer, product.rows, product.columns],
    compute: (read, out) => multiply(product, read(a), read(b), biasOf(call, read), out),
  }
}

export function productOf(tf: TensorFlow, call: KernelCall): Product {
  const [a, b] = [input(call, "a").shape, input(call, "b").shape]
  const transposeA = call.attrs?.["transposeA"] === true
  const transposeB = call.attrs?.["transposeB"] === true
  const [batchA, batchB] = [a, b].map((shape) => tf.util.sizeFromShape(shape.slice(0, -2))) as [number, number]
  return {
    batch: Math.max(batchA, batchB),
    batchA,
    batchB,
    rows: a.at(transposeA ? -1 : -2) ?? 1,
    inner: a.at(transposeA ? -2 : -1) ?? 1,
    columns: b.at(transposeB ? -2 : -1) ?? 1,
    transposeA,
    transposeB,
  }
}

export function biasOf({ inputs }: KernelCall, read: Values): Float32Array | undefined {
  return inputs["bias"] ? read(inputs["bias"]) : undefined
}

type Shape4d = [number, number, number, number]
type Shape5d = [number, number, number, number, number]
type Info2d = ReturnType<TensorFlow["backend_util"]["computeConv2DInfo"]>
type Info3d = ReturnType<TensorFlow["backend_util"]["computeConv3DInfo"]>

interface WindowAttributes {
  readonly strides: [number, number]
  readonly dilations?: [number, number] | null
  readonly pad: "valid" | "same" | number
  readonly dimRoundingMode?: "floor" | "round" | "ceil"
  readonly dataFormat?: "NHWC" | "NCHW"
  readonly filterSize: [number, number]
  readonly inputShape: number[]
}

function attributesOf({ attrs }: KernelCall): WindowAttributes {
  return attrs as unknown as WindowAttributes
}

export function conv2dInfo(tf: TensorFlow, shape: readonly number[], call: KernelCall, depthwise: boolean): Info2d {
  const { strides, dilations, pad, dimRoundingMode, dataFormat } = attributesOf(call)
  return tf.backend_util.computeConv2DInfo(
    [...shape] as Shape4d,
    [...input(call, "filter").shape] as Shape4d,
    strides,
    dilations ?? [1, 1],
    pad,
    dimRoundingMode,
    depthwise,
    tf.backend_util.convertConv2DDataFormat(dataFormat ?? "NHWC"),
  )
}

function conv2d(compute: typeof convolve): Describe {
  const depthwise = compute === convolveDepthwise
  return (tf, call) => {
    const [x, filter] = [input(call, "x"), input(call, "filter")]
    const info = conv2dInfo(tf, x.shape, call, depthwise)
    return {
      terms: info.filterHeight * info.filterWidth * (depthwise ? 1 : info.inChannels),
      shape: info.outShape,
      compute: (read, out) =>
        compute(
          {
            windows: windows2d(info),
            grid: grid2d(info.inShape, info.dataFormat, read(x)),
            cells: grid2d(info.outShape, info.dataFormat, out),
            filter: read(filter),
          },
          biasOf(call, read),
        ),
    }
  }
}

function conv3d(tf: TensorFlow, call: KernelCall): Contraction {
  const [x, filter] = [input(call, "x"), input(call, "filter")]
  const info = conv3dInfo(tf, x.shape, call)
  return {
    terms: tf.util.sizeFromShape(filter.shape.slice(0, -1)),
    shape: info.outShape,
    compute: (read, out) =>
      convolve(
        {
          windows: windows3d(info),
          grid: grid3d(info.inShape, read(x)),
          cells: grid3d(info.outShape, out),
          filter: read(filter),
        },
        undefined,
      ),
  }
}

function conv3dInfo(tf: TensorFlow, shape: readonly number[], call: KernelCall): Info3d {
  const { strides, dilations, pad } = attributesOf(call) as unknown as {
    strides: [number, number, number]
    dilations?: [number, number, number]
    pad: "valid" | "same"
  }
  const filter = [...input(call, "filter").shape] as Shape5d
  return tf.backend_util.computeConv3DInfo([...shape] as Shape5d, filter, strides, dilations ?? [1, 1, 1], pad)
}

function conv2dTranspose(tf: TensorFlow, call: KernelCall): Contraction {
  const [dy, filter] = [input(call, "dy"), input(call, "filter")]
  const info = conv2dInfo(
    tf,
    attributesOf(call).inputShape,
    { ...call, attrs: { ...call.attrs, dilations: [1, 1] } },
    false,
  )
  return {
    terms: tf.util.sizeFromShape(filter.shape.slice(0, 2)) * info.outChannels,
    shape: info.inShape,
    compute: (read, out) =>
      convolveTransposed({
        windows: windows2d(info),
        grid: grid2d(info.inShape, info.dataFormat, out),
        cells: grid2d(info.outShape, info.dataFormat, read(dy)),
        filter: read(filter),
      }),
  }
}

function conv3dTranspose(tf: TensorFlow, call: KernelCall): Contraction {
  const [dy, filter] = [input(call, "dy"), input(call, "filter")]
  const info = conv3dInfo(tf, attributesOf(call).inputShape, {
    ...call,
    attrs: { ...call.attrs, dilations: [1, 1, 1] },
  })
  return {
    terms: tf.util.sizeFromShape(filter.shape.slice(0, 3)) * info.outChannels,
    shape: info.inShape,
    compute: (read, out) =>
      convolveTransposed({
        windows: windows3d(info),
        grid: grid3d(info.inShape, out),
        cells: grid3d(info.outShape, read(dy)),
        filter: read(filter),
      }),
  }
}

function averagePool2d(tf: TensorFlow, call: KernelCall): Contraction {
  const x = input(call, "x")
  const { filterSize, strides, pad, dimRoundingMode } = attributesOf(call)
  const info = tf.backend_util.computePool2DInfo([...x.shape] as Shape4d, filterSize, strides, 1, pad, dimRoundingMode)
  return {
    terms: info.filterHeight * info.filterWidth,
    shape: info.outShape,
    compute: (read, out) =>
      average({
        windows: windows2d(info),
        grid: grid2d(info.inShape, info.dataFormat, read(x)),
        cells: grid2d(info.outShape, info.dataFormat, out),
      }),
  }
}

function averagePool3d(tf: TensorFlow, call: KernelCall): Contraction {
  const x = input(call, "x")
  const { filterSize, strides, pad, dimRoundingMode, dataFormat } = attributesOf(call) as unknown as {
    filterSize: [number, number, number]
    strides: [number, number, number]
    pad: "valid" | "same"
    dimRoundingMode?: "floor"
    dataFormat?: "NDHWC"
  }
  const shape = [...x.shape] as Shape5d
  const info = tf.backend_util.computePool3DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode, dataFormat)
  return {
    terms: info.filterDepth * info.filterHeight * info.filterWidth,
    shape: info.outShape,
    compute: (read, out) =>
      average({
        windows: windows3d(info),
        grid: grid3d(info.inShape, read(x)),
        cells: grid3d(info.outShape, out),
      }),
  }
}

function windows2d(info: Info2d): Windows {
  const last = info.dataFormat === "channelsLast"
  const sizes = ([, a, b, c]: readonly number[]): [number, number, number] =>
    last ? [1, a ?? 1, b ?? 1] : [1, b ?? 1, c ?? 1]
  return {
    batch: info.batchSize,
    sizes: sizes(info.inShape),
    places: sizes(info.outShape),
    taps: [1, info.filterHeight, info.filterWidth],
    strides: [1, info.strideHeight, info.strideWidth],
    gaps: [1, info.dilationHeight, info.dilationWidth],
    before: [0, info.padInfo.top, info.padInfo.left],
  }
}

function windows3d(info: Info3d): Windows {
  return {
    batch: info.batchSize,
    sizes: [info.inDepth, info.inHeight, info.inWidth],
    places: [info.outDepth, info.outHeight, info.outWidth],
    taps: [info.filterDepth, info.filterHeight, info.filterWidth],
    strides: [info.strideDepth, info.strideHeight, info.strideWidth],
    gaps: [info.dilationDepth, info.dilationHeight, info.dilationWidth],
    before: [info.padInfo.front, info.padInfo.top, info.padInfo.left],
  }
}

function grid2d(shape: readonly number[], dataFormat: Info2d["dataFormat"], values: Float32Array): Grid {
  if (dataFormat === "channelsLast") return grid3d([shape[0] ?? 1, 1, ...shape.slice(1)], values)
  const [, channels = 1, rows = 1, columns = 1] = shape
  const plane = rows * columns
  return { values, channels, steps: { item: channels * plane, axes: [0, columns, 1], channel: plane } }
}

function grid3d(shape: readonly number[], values: Float32Array): Grid {
  const [, depth = 1, rows = 1, columns = 1, channels = 1] = shape
  const [row, plane] = [columns * channels, rows * columns * channels]
  return { values, channels, steps: { item: depth * plane, axes: [plane, row, channels], channel: 1 } }
}

function input({ inputs }: KernelCall, name: string): TensorInfo {
  const found = inputs[name]
  if (!found) throw new Error(`an operation lacks its input ${name}`)
  return found
}
