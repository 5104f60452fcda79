/**
 * The plain JavaScript kernels of one instance of the library: the engine `js`, and what the others are compared with.
 */
import type { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu"
import { elementsIn } from "../../tensors.ts"
import type { TensorFlow } from "./backend.ts"
import { checkInPlace, type FiniteCheck, watchKernels } from "./kernels/finite.ts"
import { guardIndices } from "./kernels/indices.ts"
import { mendJsSums } from "./kernels/js-sums.ts"
import { mendSlices } from "./kernels/slices.ts"
import { guardWindows } from "./kernels/windows.ts"

/** The reference would take longer than it may. */
export class TooSlow extends Error {
  override readonly name = "TooSlow"
}

export interface JsReference {
  /** Asks with a limit of milliseconds, looked at between two kernels. Throws TooSlow. */
  measure<T>(milliseconds: number, ask: () => Promise<T>): Promise<Measured<T>>
}

export interface Measured<T> {
  readonly answer: T
  /** The largest value inside, by size: what rounding is measured by. */
  readonly peak: number
}

const references = new WeakMap<object, JsReference>()

export function watchJs(tf: TensorFlow): JsReference {
  const known = references.get(tf.layers.Layer)
  if (known) return known
  let [measuring, deadline, peak] = [false, 0, 0]
  const { check, relu } = checkInPlace(({ dataId }, backend) => valuesOf(dataId, backend))
  const measured: FiniteCheck["check"] = (tensor, backend) => {
    check(tensor, backend)
    if (!measuring) return
    if (processorTime() > deadline) throw new TooSlow("plain JavaScript takes too long")
    for (const value of valuesOf(tensor.dataId, backend)) peak = Math.max(peak, Math.abs(value))
  }
  mendJsSums(tf)
  mendSlices(tf, "cpu", {
    valuesOf: ({ dataId }, backend) => valuesOf(dataId, backend),
    make: (shape, backend) =>
      (backend as MathBackendCPU).makeTensorInfo(shape, "float32", new Float32Array(elementsIn(shape))),
  })
  watchKernels(tf, "cpu", { check: measured, ...(relu && { relu }) })
  guardWindows(tf, "cpu")
  guardIndices(tf, "cpu", ({ dataId }, backend) => valuesOf(dataId, backend))
  const reference: JsReference = {
    async measure(milliseconds, ask) {
      ;[measuring, deadline, peak] = [true, processorTime() + milliseconds, 0]
      try {
        return { answer: await ask(), peak }
      } finally {
        measuring = false
      }
    },
  }
  references.set(tf.layers.Layer, reference)
  return reference
}

/** Milliseconds that this thread has computed, so that a busy machine skips nothing; by the clock before Node 23.9. */
function processorTime(): number {
  const { threadCpuUsage } = process as { threadCpuUsage?: () => { user: number; system: number } }
  if (threadCpuUsage === undefined) return performance.now()
  const { user, system } = threadCpuUsage()
  return (user + system) / 1000
}

function valuesOf(dataId: object, backend: object): Float32Array {
  return (backend as MathBackendCPU).data.get(dataId).values as Float32Array
}
