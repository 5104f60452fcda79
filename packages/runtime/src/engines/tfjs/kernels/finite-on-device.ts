/**
 * The same promise for engines whose numbers lie on a device: each kernel's answer is looked at over there, and all that is
 * read back, once a question, is one bit.
 */
import type { TensorInfo } from "@tensorflow/tfjs-core"
import type { TensorFlow } from "../backend.ts"
import { type FiniteCheck, notFinite } from "./finite.ts"
import { release } from "./wrap.ts"

export interface DeviceCheck {
  readonly check: FiniteCheck["check"]
  /** Throws OUTPUT_INVALID when a tensor since the last call was not finite. */
  readonly finish: () => Promise<void>
}

interface DeviceBackend {
  read(id: object): Promise<ArrayLike<number>>
}

/** Looks up the kernels it asks before they are watched themselves. */
export function checkOnDevice(tf: TensorFlow, backendName: string): DeviceCheck {
  const [isFinite, all, and] = ["IsFinite", "All", "LogicalAnd"].map(
    (name) => tf.getKernel(name, backendName).kernelFunc,
  )
  if (!isFinite || !all || !and) throw new Error(`the backend ${backendName} cannot tell what is finite`)
  let soFar: TensorInfo | null = null
  let device: DeviceBackend | null = null

  function check(tensor: TensorInfo, backend: object): void {
    device = backend as DeviceBackend
    const each = isFinite?.({ inputs: { x: tensor }, backend }) as TensorInfo
    const axis = tensor.shape.map((_, index) => index)
    const here = all?.({ inputs: { x: each }, backend, attrs: { axis, keepDims: false } }) as TensorInfo
    release(each, backend)
    const both = soFar === null ? here : (and?.({ inputs: { a: soFar, b: here }, backend }) as TensorInfo)
    if (soFar !== null) for (const tensor of [soFar, here]) release(tensor, backend)
    if (both instanceof tf.Tensor) tf.keep(both) // it outlives the operation that it belongs to
    soFar = both
  }

  async function finish(): Promise<void> {
    if (soFar === null || device === null) return
    const last = soFar
    soFar = null
    const [fine] = Array.from(await device.read(last.dataId))
    release(last, device)
    if (!fine) throw notFinite()
  }

  return { check, finish }
}
