/**
 * Ids that a model looks up: each has to be one of its vocabulary.
 *
 *     4294967296 is 0 as an int32 on one engine, and on another -1; row 12 of 10 is zeros on a GPU
 *
 * What a kernel would wrap around or read beside its table is the caller's INPUT_INVALID on every engine.
 */
import type { TensorInfo } from "@tensorflow/tfjs-core"
import { RuntimeError } from "../../../errors.ts"
import type { TensorFlow } from "../backend.ts"
import { type KernelCall, wrapKernels } from "./wrap.ts"

/** The numbers of a tensor, in memory that is only read. */
export type ReadTensor = (tensor: TensorInfo, backend: object) => ArrayLike<number>

/** From here on a float32 stands for more than one whole number: 16777217 has become 16777216 on its way. */
const beyondFloat32 = 2 ** 24

export function guardIndices(tf: TensorFlow, backendName: string, read: ReadTensor): void {
  wrapKernels(tf, backendName, (name, kernel) => {
    const check = checks[name]
    if (check === undefined) return kernel
    return (call) => {
      check(call, read)
      return kernel(call)
    }
  })
}

const checks: Readonly<Record<string, (call: KernelCall, read: ReadTensor) => void>> = {
  Cast({ inputs, attrs, backend }, read) {
    const { x } = inputs
    if (x?.dtype === "float32" && attrs?.["dtype"] === "int32")
      requireEach(read(x, backend), 1 - beyondFloat32, beyondFloat32 - 1, "an id that float32 can hold")
  },
  GatherV2({ inputs, attrs, backend }, read) {
    const { x, indices } = inputs
    const size = x?.shape[Number(attrs?.["axis"] ?? 0)] ?? 0
    if (indices) requireEach(read(indices, backend), 0, size - 1, `an id of its vocabulary (0 to ${size - 1})`)
  },
}

function requireEach(values: ArrayLike<number>, least: number, most: number, what: string): void {
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number
    if (!(value > least - 1 && value < most + 1)) throw new RuntimeError("INPUT_INVALID", `${value} is not ${what}`)
  }
}
