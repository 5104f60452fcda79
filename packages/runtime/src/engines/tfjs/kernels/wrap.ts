/**
 * Between tfjs and the kernels of a backend: each is called through a function of ours.
 *
 *     wrapKernels(tf, "wasm", (name, kernel) => (call) => { const made = kernel(call); … return made })
 *
 * A worker opens each engine once, so the change of the library's registry meets nobody else.
 */
import type { KernelFunc, Tensor, TensorInfo } from "@tensorflow/tfjs-core"
import type { TensorFlow } from "../backend.ts"

export type KernelCall = Parameters<KernelFunc>[0]
export type WrapKernel = (name: string, kernel: KernelFunc) => KernelFunc

export function wrapKernels(tf: TensorFlow, backend: string, wrap: WrapKernel): void {
  for (const config of tf.getKernelsForBackend(backend)) {
    const { kernelName, kernelFunc } = config
    tf.unregisterKernel(kernelName, backend)
    tf.registerKernel({ ...config, kernelFunc: wrap(kernelName, kernelFunc) })
  }
}

/** Some backends answer with tensors that the library keeps count of, others with bare memory. */
export function release(made: TensorInfo, backend: object): void {
  if ("dispose" in made) (made as Tensor).dispose()
  else (backend as { disposeData(id: object): boolean }).disposeData(made.dataId)
}

/** The tensors a kernel answered with. */
export function listOf(made: TensorInfo | readonly TensorInfo[]): readonly TensorInfo[] {
  return Array.isArray(made) ? (made as readonly TensorInfo[]) : [made as TensorInfo]
}
