/**
 * @tensorflow/tfjs-node-gpu 4.22: libtensorflow on CUDA. An optional peer.
 *
 * It counts as a GPU only when its binding says so: without CUDA it would quietly compute on the CPU.
 */
import { createRequire } from "node:module"
import { messageOf } from "../../errors.ts"
import type { OpenedBackend, TensorFlow } from "./backend.ts"
import { checkNative } from "../installed/check-native.ts"
import { findPackage, tfjsNodeGpuPackage } from "../installed/packages.ts"
import { watchKernels } from "./kernels/finite.ts"
import { checkOnDevice } from "./kernels/finite-on-device.ts"
import { guardIndices } from "./kernels/indices.ts"
import { guardWindows } from "./kernels/windows.ts"

export async function openTfjsNodeGpu(): Promise<OpenedBackend> {
  const found = findPackage(tfjsNodeGpuPackage)
  if (found === null) return { available: false, why: `${tfjsNodeGpuPackage.package} is not installed` }
  const { why } = checkNative(tfjsNodeGpuPackage, found)
  if (why !== null) return { available: false, why: `${found.folder}: ${why}` }
  try {
    return await wake(found.main)
  } catch (cause) {
    return { available: false, why: `${found.main} did not start: ${messageOf(cause)}` }
  }
}

async function wake(file: string): Promise<OpenedBackend> {
  const require = createRequire(file)
  const util = require("node:util") as { isNullOrUndefined?: (value: unknown) => boolean }
  util.isNullOrUndefined ??= (value) => value === null || value === undefined // gone since Node 23; 4.22 calls it
  const tf = require(file) as TensorFlow
  tf.enableProdMode()
  await tf.ready()
  const backend = tf.backend() as { isUsingGpuDevice?: unknown }
  if (tf.getBackend() !== "tensorflow" || backend.isUsingGpuDevice !== true) {
    return { available: false, why: `${file} found no CUDA device; its CPU mode is not used` }
  }
  const { check, finish } = checkOnDevice(tf, "tensorflow")
  watchKernels(tf, "tensorflow", { check })
  guardWindows(tf, "tensorflow")
  guardIndices(tf, "tensorflow", ({ dataId }) =>
    (tf.backend() as { readSync(id: object): ArrayLike<number> }).readSync(dataId),
  )
  return {
    available: true,
    tf,
    backend: "tensorflow",
    detail: `tfjs ${tf.version_core}, libtensorflow on CUDA, ${file}`,
    maxWeightBytes: Infinity,
    precision: 1e-2, // NVIDIA's TF32 multiplies with ten bits after the point
    limits: [],
    check: finish,
  }
}
