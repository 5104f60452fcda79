/**
 * A pooling window or a kernel that is larger than its input leaves nothing to compute. The JavaScript backend then makes
 * an empty tensor or throws, and WebAssembly writes beside its memory. Sizes that are known at load are refused there; this
 * is for those that come with a question.
 */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm"
import type { TensorInfo } from "@tensorflow/tfjs-core"
import { RuntimeError } from "../../../errors.ts"
import type { TensorFlow } from "../backend.ts"
import { type KernelCall, listOf, wrapKernels } from "./wrap.ts"

const pools = new Set(["AvgPool", "AvgPool3D", "MaxPool", "MaxPool3D"])
const convolutions = new Set(["Conv2D", "Conv3D", "DepthwiseConv2dNative", "FusedConv2D", "FusedDepthwiseConv2D"])

export function guardWindows(tf: TensorFlow, backendName: string): void {
  wrapKernels(tf, backendName, (name, kernel) => (call) => {
    if (call.attrs?.["pad"] === "valid") requireFit(call, windowOf(name, call))
    const made = kernel(call)
    for (const { shape } of listOf(made)) requireValues(shape)
    return made
  })
}

/** The last resort where an empty tensor would cost memory safety: every kernel asks for the memory of its answer first. */
export function guardMemory(backend: BackendWasm): void {
  const makeOutput = backend.makeOutput.bind(backend)
  backend.makeOutput = (shape, ...rest) => {
    requireValues(shape)
    return makeOutput(shape, ...rest)
  }
}

/** Per axis of space. */
function windowOf(name: string, { inputs, attrs }: KernelCall): readonly number[] {
  if (pools.has(name)) {
    const size = attrs?.["filterSize"] as number | readonly number[]
    return typeof size === "number" ? spaceOf(inputs["x"]).map(() => size) : size
  }
  if (!convolutions.has(name)) return []
  const dilations = (attrs?.["dilations"] ?? 1) as number | readonly number[]
  const gap = (axis: number): number => (typeof dilations === "number" ? dilations : (dilations[axis] ?? 1))
  return (inputs["filter"]?.shape.slice(0, -2) ?? []).map((size, axis) => (size - 1) * gap(axis) + 1)
}

function requireFit({ inputs, attrs }: KernelCall, window: readonly number[]): void {
  const space = spaceOf(inputs["x"], attrs?.["dataFormat"])
  if (window.every((size, axis) => size <= (space[axis] ?? 0))) return
  const sizes = (shape: readonly number[]): string => shape.join("×")
  throw new RuntimeError("INPUT_INVALID", `the input is too small: ${sizes(window)} do not fit into ${sizes(space)}`)
}

function spaceOf(x: TensorInfo | undefined, dataFormat?: unknown): readonly number[] {
  const shape = x?.shape ?? []
  return dataFormat === "NCHW" || dataFormat === "NCDHW" ? shape.slice(2) : shape.slice(1, -1)
}

function requireValues(shape: readonly number[]): void {
  if (shape.every((size) => size > 0)) return
  throw new RuntimeError("INPUT_INVALID", `the input is too small: it leaves a tensor of shape [${shape.join(",")}]`)
}
