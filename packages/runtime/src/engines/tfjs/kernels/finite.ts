/**
 * No value that is not finite gets past the kernel that made it.
 *
 *     dense NaN -> relu 0 -> softmax [0.5, 0.5]        a model with a NaN inside and a smooth answer: OUTPUT_INVALID
 *
 * What swallows a NaN differs from engine to engine (ReLU, a maximum, a comparison), so no kernel is asked to keep one:
 * each kernel's answer is looked at before the next kernel sees it. A kernel that adds its activation in one step would
 * swallow it inside; it is asked without, and the activation follows as a step of its own.
 */
import type { KernelFunc, NamedAttrMap, TensorInfo } from "@tensorflow/tfjs-core"
import { RuntimeError } from "../../../errors.ts"
import type { TensorFlow } from "../backend.ts"
import { type KernelCall, listOf, release, wrapKernels } from "./wrap.ts"

export interface FiniteCheck {
  /** Throws at once, or remembers, when a value of a float32 tensor is not finite. */
  readonly check: (tensor: TensorInfo, backend: object) => void
  /** Cuts negative values off where they lie, after the check; absent where the numbers are out of reach. */
  readonly relu?: (tensor: TensorInfo, backend: object) => void
}

const activationKernels: Readonly<Record<string, string>> = {
  elu: "Elu",
  relu: "Relu",
  relu6: "Relu6",
  leakyrelu: "LeakyRelu",
  prelu: "Prelu",
  sigmoid: "Sigmoid",
}

/** They only move, choose or bound what was looked at when it was made: from finite values come finite ones. */
const staysFinite = new Set(
  `
  Abs ClipByValue Concat Max MaxPool Maximum Min Minimum Neg Pack PadV2 Relu Relu6 Reverse Sigmoid Slice SplitV StridedSlice
  Tanh Tile Transpose Unpack`
    .trim()
    .split(/\s+/),
)

/** Watches every kernel of the backend that makes floating point numbers. */
export function watchKernels(tf: TensorFlow, backendName: string, watch: FiniteCheck): void {
  wrapKernels(tf, backendName, (name, kernel) => {
    if (staysFinite.has(name)) return kernel
    return (call) => {
      const activation = call.attrs?.["activation"]
      if (typeof activation === "string" && activation !== "linear")
        return runUnfused(tf, backendName, kernel, call, activation, watch)
      const made = kernel(call)
      for (const tensor of listOf(made)) checkNew(tensor, call, watch)
      return made
    }
  })
}

function checkNew(tensor: TensorInfo, { inputs, backend }: KernelCall, { check }: FiniteCheck): void {
  // A view of an input (Reshape, Identity) holds nothing new.
  if (tensor.dtype !== "float32" || Object.values(inputs).some((input) => input?.dataId === tensor.dataId)) return
  check(tensor, backend)
}

function runUnfused(
  tf: TensorFlow,
  backendName: string,
  kernel: KernelFunc,
  call: KernelCall,
  activation: string,
  { check, relu }: FiniteCheck,
): TensorInfo | TensorInfo[] {
  const { preluActivationWeights: alpha, ...inputs } = call.inputs
  const before = kernel({ ...call, inputs, attrs: { ...call.attrs, activation: "linear" } }) as TensorInfo
  check(before, call.backend)
  if (activation === "relu" && relu) {
    relu(before, call.backend)
    return before
  }
  const next = tf.getKernel(activationKernels[activation] ?? activation, backendName)
  const attrs: NamedAttrMap = { alpha: call.attrs?.["leakyreluAlpha"] ?? 0 }
  const made = next.kernelFunc({
    inputs: { x: before, ...(alpha === undefined ? {} : { alpha }) },
    backend: call.backend,
    attrs,
  })
  release(before, call.backend)
  return made
}

/** For engines whose numbers can be read and written where they lie. */
export function checkInPlace(valuesOf: (tensor: TensorInfo, backend: object) => Float32Array): FiniteCheck {
  return {
    check(tensor, backend) {
      if (!allFinite(valuesOf(tensor, backend))) throw notFinite()
    },
    relu(tensor, backend) {
      const { buffer, byteOffset, length } = valuesOf(tensor, backend)
      const bits = new Int32Array(buffer, byteOffset, length)
      // The sign is the first bit: -1 >> 31 is all ones. A comparison of signs that nobody foresees takes seven times as long.
      for (let index = 0; index < length; index++) {
        const value = bits[index] as number
        bits[index] = value & ~(value >> 31)
      }
    },
  }
}

export function notFinite(): RuntimeError {
  return new RuntimeError(
    "OUTPUT_INVALID",
    "a value inside is not finite (NaN or Infinity), so the answer would mean nothing",
  )
}

const zero = 0

/** Zero times a number is zero, times NaN or Infinity it is NaN, which stays in a sum. Four sums, so that none waits. */
export function allFinite(values: Float32Array): boolean {
  let [a, b, c, d] = [0, 0, 0, 0]
  let at = values.length % 4
  for (let index = 0; index < at; index++) a += (values[index] as number) * zero
  for (; at < values.length; at += 4) {
    a += (values[at] as number) * zero
    b += (values[at + 1] as number) * zero
    c += (values[at + 2] as number) * zero
    d += (values[at + 3] as number) * zero
  }
  return a + b + c + d === 0
}
