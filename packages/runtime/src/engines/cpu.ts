/** Pure JavaScript: slow, and runs wherever Node does. What the other engines answer is compared with it. */
import * as core from "@tensorflow/tfjs-core"
import * as layers from "@tensorflow/tfjs-layers"
import type { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu"
import "@tensorflow/tfjs-backend-cpu"
import type { Engine, OpenedEngine } from "./engine.ts"
import { checkInPlace, watchKernels } from "./kernels/finite.ts"
import { guardIndices } from "./kernels/indices.ts"
import { guardWindows } from "./kernels/windows.ts"
import { tfjsLimits } from "./tfjs-limits.ts"

export const cpuEngine: Engine = { name: "js", device: "cpu", open }

let opened: Promise<OpenedEngine> | undefined

function open(): Promise<OpenedEngine> {
  return (opened ??= start())
}

async function start(): Promise<OpenedEngine> {
  core.enableProdMode() // no advice on the console
  if (!(await core.setBackend("cpu"))) return { available: false, why: "the JavaScript backend did not start" }
  const tf = { ...core, ...layers }
  watchKernels(
    tf,
    "cpu",
    checkInPlace(({ dataId }, backend) => valuesOf(dataId, backend)),
  )
  guardWindows(tf, "cpu")
  guardIndices(tf, "cpu", ({ dataId }, backend) => valuesOf(dataId, backend))
  return {
    available: true,
    tf,
    backend: "cpu",
    detail: `tfjs ${core.version_core}, plain JavaScript`,
    maxWeightBytes: Infinity,
    limits: tfjsLimits,
    check: () => undefined,
  }
}

function valuesOf(dataId: object, backend: object): Float32Array {
  return (backend as MathBackendCPU).data.get(dataId).values as Float32Array
}
