/**
 * Plain JavaScript, with products added up in double precision.
 *
 * The backend's own add each product (a convolution), or the sum of 48 of them (a matrix), to a float32: 7 · 7 · 512 of one
 * sign are off by 2e-4. What it adds in a double already stays its own: averages, transposed convolutions, sums, softmax.
 */
import type { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu"
import type { TensorFlow } from "../backend.ts"
import { contractionOf, isContraction } from "./contractions.ts"
import { wrapKernels } from "./wrap.ts"

const inDouble = new Set(["AvgPool", "AvgPool3D", "Conv2DBackpropInput", "Conv3DBackpropInputV2"])

export function mendJsSums(tf: TensorFlow): void {
  wrapKernels(tf, "cpu", (name, kernel) => {
    if (!isContraction(name) || inDouble.has(name)) return kernel
    return (call) => {
      const found = contractionOf(tf, name, call)
      if (found === null) return kernel(call)
      const backend = call.backend as MathBackendCPU
      const values = new Float32Array(tf.util.sizeFromShape([...found.shape]))
      found.compute(({ dataId }) => backend.data.get(dataId).values as Float32Array, values)
      return backend.makeTensorInfo([...found.shape], "float32", values)
    }
  })
}
