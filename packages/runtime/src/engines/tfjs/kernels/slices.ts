/**
 * Slices, copied run by run. Plain JavaScript's own go number by number, with an array made for each, and WebAssembly's begin
 * with a copy of the whole tensor: a GRU of 700 units, which takes its weights apart at every step, took a second a step.
 */
import type { TensorInfo } from "@tensorflow/tfjs-core"
import type { TensorFlow } from "../backend.ts"
import { copyBox } from "./copy-box.ts"
import { type KernelCall, wrapKernels } from "./wrap.ts"

/** How the numbers of a backend's tensors are reached. */
export interface Memory {
  readonly valuesOf: (tensor: TensorInfo, backend: object) => Float32Array
  readonly make: (shape: number[], backend: object) => TensorInfo
}

type Box = readonly [begin: number[], size: number[]]

export function mendSlices(tf: TensorFlow, backendName: string, memory: Memory): void {
  wrapKernels(tf, backendName, (name, kernel) => {
    if (name !== "Slice" && name !== "SplitV") return kernel
    return (call) => {
      const x = call.inputs["x"] as TensorInfo
      if (x.dtype !== "float32") return kernel(call)
      if (name === "Slice") return copyOf(x, call.backend, memory, boxOf(tf, x, call))
      return boxesOf(tf, x, call).map((box) => copyOf(x, call.backend, memory, box))
    }
  })
}

function boxOf({ slice_util: util }: TensorFlow, x: TensorInfo, { attrs }: KernelCall): Box {
  const wanted = attrs as unknown as { readonly begin: number[]; readonly size: number[] }
  const [begin = [], size = []] = util.parseSliceParams(x, wanted.begin, wanted.size)
  util.assertParamsValid(x, begin, size)
  return [begin, size]
}

function boxesOf(tf: TensorFlow, x: TensorInfo, { attrs }: KernelCall): Box[] {
  const { numOrSizeSplits, axis } = attrs as unknown as { readonly numOrSizeSplits: number[]; readonly axis: number }
  const [along = 0] = tf.util.parseAxisParam(axis, x.shape)
  let start = 0
  return tf.backend_util.prepareSplitSize(x as never, numOrSizeSplits, along).map((length) => {
    const begin = x.shape.map((_, at) => (at === along ? start : 0))
    start += length
    return [begin, x.shape.map((size, at) => (at === along ? length : size))]
  })
}

function copyOf(x: TensorInfo, backend: object, { valuesOf, make }: Memory, [begin, size]: Box): TensorInfo {
  const made = make(size, backend) // first, since WebAssembly's memory may grow and move for it
  copyBox(valuesOf(x, backend), x.shape, begin, size, valuesOf(made, backend))
  return made
}
