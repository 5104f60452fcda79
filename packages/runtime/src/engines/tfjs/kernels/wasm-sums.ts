/**
 * Sums and means on WebAssembly, added up in double precision.
 *
 * The backend's own add one float32 after the other: 10,000 times 1.1 is wrong by 4e-5, 1,000,000 times by 1e-2, and from
 * 2^24 on nothing more is added at all (a mean over 1600 × 1600 nines was 8.73). In JavaScript a double is as fast.
 */
import type { TensorInfo } from "@tensorflow/tfjs-core"
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm"
import type { TensorFlow } from "../backend.ts"
import { type KernelCall, wrapKernels } from "./wrap.ts"

export function mendSums(tf: TensorFlow): void {
  wrapKernels(tf, "wasm", (name, kernel) => {
    if (name !== "Sum" && name !== "Mean") return kernel
    return (call) => (call.inputs["x"]?.dtype === "float32" ? reduce(tf, name, call) : kernel(call))
  })
}

function reduce(tf: TensorFlow, name: "Sum" | "Mean", { inputs, attrs, backend }: KernelCall): TensorInfo {
  const wasm = backend as BackendWasm
  const x = inputs["x"] as TensorInfo
  const axes = tf.util.parseAxisParam(attrs?.["axis"] as number | number[], x.shape)
  const [outShape, reducedShape] = tf.backend_util.computeOutAndReduceShapes(x.shape, axes)
  const shape = attrs?.["keepDims"] === true ? tf.backend_util.expandShapeToKeepDim(outShape, axes) : outShape
  const made = wasm.makeOutput(shape, "float32")
  const sums = sumOver(wasm.typedArrayFromHeap(x) as Float32Array, x.shape, axes)
  const divisor = name === "Mean" ? tf.util.sizeFromShape(reducedShape) : 1
  ;(wasm.typedArrayFromHeap(made) as Float32Array).set(sums.map((sum) => sum / divisor))
  return made
}

/** The sums over `axes`, in the order of the axes that stay. */
export function sumOver(values: Float32Array, shape: readonly number[], axes: readonly number[]): Float64Array {
  const strides = outputStrides(shape, axes)
  const inner = innerRun(shape, strides)
  const sums = new Float64Array(shape.reduce((size, length, axis) => (axes.includes(axis) ? size : size * length), 1))
  const at = shape.map(() => 0)
  let base = 0
  for (let start = 0; start < values.length; start += inner.length) {
    if (inner.stride === 0) sums[base] = (sums[base] as number) + sumRun(values, start, inner.length)
    else
      for (let i = 0; i < inner.length; i++) sums[base + i] = (sums[base + i] as number) + (values[start + i] as number)
    base = advance(at, shape, strides, inner.rank, base)
  }
  return sums
}

/** How far one step along an axis goes in the output: nowhere, where it is summed over. */
function outputStrides(shape: readonly number[], axes: readonly number[]): number[] {
  const strides = shape.map(() => 0)
  let size = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (axes.includes(axis)) continue
    strides[axis] = size
    size *= shape[axis] as number
  }
  return strides
}

/** The last axes that are all summed over, or all kept: one run of memory. */
function innerRun(
  shape: readonly number[],
  strides: readonly number[],
): { length: number; rank: number; stride: number } {
  const stride = strides.at(-1) ?? 0
  let [length, rank] = [1, 0]
  for (let axis = shape.length - 1; axis >= 0 && (strides[axis] === 0) === (stride === 0); axis--) {
    length *= shape[axis] as number
    rank += 1
  }
  return { length, rank, stride }
}

function sumRun(values: Float32Array, start: number, length: number): number {
  let sum = 0
  for (let index = start; index < start + length; index++) sum += values[index] as number
  return sum
}

/** Counts the outer axes up by one run; gives where the next run goes in the output. */
function advance(
  at: number[],
  shape: readonly number[],
  strides: readonly number[],
  skip: number,
  base: number,
): number {
  let next = base
  for (let axis = shape.length - 1 - skip; axis >= 0; axis--) {
    at[axis] = (at[axis] as number) + 1
    next += strides[axis] as number
    if ((at[axis] as number) < (shape[axis] as number)) return next
    next -= (strides[axis] as number) * (shape[axis] as number)
    at[axis] = 0
  }
  return next
}
