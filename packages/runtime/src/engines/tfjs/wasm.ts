/**
 * WebAssembly with SIMD: the default, about ten times the pure JavaScript engine. Its binary is our own dependency's.
 *
 * Its memory ends at 4 GiB, and XNNPACK keeps a packed copy of the weights. Measured: 2.4 GB of weights load, and then
 * answer wrong numbers without a word, because an allocation inside failed. So there is a limit well below, and a check
 * after each answer.
 */
import { createRequire } from "node:module"
import { dirname, sep } from "node:path"
import * as core from "@tensorflow/tfjs-core"
import type { TensorInfo } from "@tensorflow/tfjs-core"
import * as layers from "@tensorflow/tfjs-layers"
import { type BackendWasm, setWasmPaths } from "@tensorflow/tfjs-backend-wasm"
import "@tensorflow/tfjs-backend-cpu"
import { EngineLost, EngineUnfit } from "../engine.ts"
import type { OpenedBackend, TensorFlow } from "./backend.ts"
import { checkInPlace, watchKernels } from "./kernels/finite.ts"
import { guardIndices } from "./kernels/indices.ts"
import { mendProducts } from "./kernels/long-sums.ts"
import { mendSlices } from "./kernels/slices.ts"
import { longestSum } from "./kernels/sum-blocks.ts"
import { mendInDouble } from "./kernels/wasm-double.ts"
import { mendSums } from "./kernels/wasm-sums.ts"
import { guardMemory, guardWindows } from "./kernels/windows.ts"
import { wasmLimits } from "./wasm-limits.ts"

const gibibyte = 2 ** 30

/** The parts of the Emscripten module that tfjs's types leave out. */
interface Memory {
  _malloc: (bytes: number) => number
  readonly HEAPU8: Uint8Array
}

/** `longest` is how many products the backend may add up by itself; tests ask with fewer than small models have. */
export async function openWasm(longest: number = longestSum): Promise<OpenedBackend> {
  core.enableProdMode()
  const main = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm")
  setWasmPaths(dirname(main) + sep)
  if (!(await core.setBackend("wasm"))) return { available: false, why: "the WebAssembly backend did not start" }
  const backend = core.backend() as BackendWasm
  const memory = backend.wasm as unknown as Memory
  refuseFailedAllocations(memory)
  const tf = { ...core, ...layers }
  mendKernels(tf, backend, longest)
  const simd = await core.env().getAsync("WASM_HAS_SIMD_SUPPORT")
  const detail = `tfjs ${core.version_core}, WebAssembly${simd ? " with SIMD" : ""}`
  const check = (): void => requireRoom(memory)
  return {
    available: true,
    tf,
    backend: "wasm",
    detail,
    maxWeightBytes: gibibyte,
    precision: 1e-5,
    limits: wasmLimits,
    check,
  }
}

function mendKernels(tf: TensorFlow, backend: BackendWasm, longest: number): void {
  guardMemory(backend)
  const valuesOf = (tensor: TensorInfo): Float32Array => backend.typedArrayFromHeap(tensor) as Float32Array
  mendSums(tf)
  mendProducts(tf, backend, longest)
  mendInDouble(tf, longest)
  mendSlices(tf, "wasm", { valuesOf, make: (shape) => backend.makeOutput(shape, "float32") })
  watchKernels(tf, "wasm", checkInPlace(valuesOf))
  guardWindows(tf, "wasm")
  guardIndices(tf, "wasm", (tensor) => backend.typedArrayFromHeap(tensor))
}

// A full heap answers address 0, and the backend would write the tensor there.
function refuseFailedAllocations(memory: Memory): void {
  const allocate = memory._malloc
  memory._malloc = (bytes) => {
    const address = allocate(bytes)
    if (address === 0 && bytes > 0) throw new EngineUnfit(`WebAssembly memory has no room for ${bytes} more bytes`)
    return address
  }
}

// Beyond this an allocation inside, which nobody reports, may have failed.
function requireRoom({ HEAPU8 }: Memory): void {
  if (HEAPU8.length > 3 * gibibyte)
    throw new EngineLost("WebAssembly memory is nearly full; its answers are not trusted")
}
