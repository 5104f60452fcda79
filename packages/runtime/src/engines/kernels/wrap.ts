/**
 * Between tfjs and the kernels of a backend: each is called through a function of ours.
 *
 *     wrapKernels(tf, "wasm", (name, kernel) => (call) => { const made = kernel(call); … return made })
 *
 * A worker opens each engine once, so the change of the library's registry meets nobody else.
 */
import type { KernelFunc, TensorInfo } from "@tensorflow/tfjs-core"
import type { TensorFlow } from "../engine.ts"

export type KernelCall = Parameters<KernelFunc>[0]
export type WrapKernel = (name: string, kernel: KernelFunc) => KernelFunc

export function wrapKernels(tf: TensorFlow, backend: string, wrap: WrapKernel): void {
  for (const config of tf.getKernelsForBackend(backend)) {
    const { kernelName, kernelFunc } = config
    tf.unregisterKernel(kernelName, backend)
    tf.registerKernel({ ...config, kernelFunc: wrap(kernelName, kernelFunc) })
  }
}

/** The tensors a kernel answered with. */
export function listOf(made: TensorInfo | readonly TensorInfo[]): readonly TensorInfo[] {
  return Array.isArray(made) ? (made as readonly TensorInfo[]) : [made as TensorInfo]
}
