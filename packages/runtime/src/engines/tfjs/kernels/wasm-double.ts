/**
 * Kernels of WebAssembly that plain JavaScript stands in for, adding up in double precision: where the backend's own adds many
 * numbers in float32, and the one that leaves most of its sum out.
 *
 *     softmax over 1,000,000        the probabilities added up to 1.009
 *     an average of 1600 × 1600     9.04 of nines
 *     Conv3DTranspose               wrong for every kernel larger than its stride, and for most others
 */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm"
import type { TensorInfo } from "@tensorflow/tfjs-core"
import type { TensorFlow } from "../backend.ts"
import { type Contraction, contractionOf, isContraction } from "./contractions.ts"
import { type KernelCall, wrapKernels } from "./wrap.ts"

/** Of so few sums JavaScript has added up all before the backend has begun with the first block (long-sums.ts). */
const fewSums = 16

/** `longest` is how many numbers the backend may add up by itself. */
export function mendInDouble(tf: TensorFlow, longest: number): void {
  wrapKernels(tf, "wasm", (name, kernel) => {
    if (name === "Softmax") return (call) => (classesOf(call) > longest ? softmax(call) : kernel(call))
    if (!isContraction(name)) return kernel
    const most = name === "Conv3DBackpropInputV2" ? 0 : longest
    return (call) => {
      const found = contractionOf(tf, name, call)
      if (found === null || found.terms <= most) return kernel(call)
      const isShort = tf.util.sizeFromShape([...found.shape]) <= fewSums
      return isFast(name, call) && !isShort ? kernel(call) : compute(found, call.backend as BackendWasm)
    }
  })
}

/** XNNPACK computes it, ten times as fast as JavaScript. The other kernels are plain loops too. */
function isFast(name: string, { inputs, attrs }: KernelCall): boolean {
  if (name === "Conv2D" || name === "FusedConv2D") return true
  const isTurned = attrs?.["transposeA"] === true || attrs?.["transposeB"] === true
  const isSingle = [inputs["a"], inputs["b"]].every((factor) => factor?.shape.slice(0, -2).every((size) => size === 1))
  return name.endsWith("MatMul") && isSingle && !isTurned
}

function compute(contraction: Contraction, backend: BackendWasm): TensorInfo {
  const made = backend.makeOutput([...contraction.shape], "float32") // first, since memory may grow and move for it
  const read = (tensor: TensorInfo): Float32Array => backend.typedArrayFromHeap(tensor) as Float32Array
  contraction.compute(read, read(made))
  return made
}

function classesOf({ inputs }: KernelCall): number {
  return inputs["logits"]?.shape.at(-1) ?? 0
}

/** Along the last axis: the library takes no other. */
function softmax({ inputs, backend }: KernelCall): TensorInfo {
  const wasm = backend as BackendWasm
  const logits = inputs["logits"] as TensorInfo
  const made = wasm.makeOutput(logits.shape, "float32")
  const [from, to] = [wasm.typedArrayFromHeap(logits), wasm.typedArrayFromHeap(made)] as [Float32Array, Float32Array]
  const size = logits.shape.at(-1) ?? 1
  for (let start = 0; start < from.length; start += size)
    softmaxOf(from.subarray(start, start + size), to.subarray(start, start + size))
  return made
}

function softmaxOf(logits: Float32Array, to: Float32Array): void {
  let [most, sum] = [-Infinity, 0]
  for (const each of logits) most = Math.max(most, each)
  for (const each of logits) sum += Math.exp(each - most)
  for (const [index, each] of logits.entries()) to[index] = Math.exp(each - most) / sum
}
