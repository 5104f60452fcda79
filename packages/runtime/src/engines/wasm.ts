/** WebAssembly with SIMD: the default, about ten times the pure JavaScript engine. Its binary is our own dependency's. */
import { createRequire } from "node:module"
import { dirname, sep } from "node:path"
import * as core from "@tensorflow/tfjs-core"
import * as layers from "@tensorflow/tfjs-layers"
import { type BackendWasm, setWasmPaths } from "@tensorflow/tfjs-backend-wasm"
import "@tensorflow/tfjs-backend-cpu"
import type { Engine, OpenedEngine } from "./engine.ts"

export const wasmEngine: Engine = { name: "wasm", device: "cpu", open }

async function open(): Promise<OpenedEngine> {
  core.enableProdMode()
  const main = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm")
  setWasmPaths(dirname(main) + sep)
  if (!(await core.setBackend("wasm"))) return { available: false, why: "the WebAssembly backend did not start" }
  refuseFailedAllocations(core.backend() as BackendWasm)
  const simd = await core.env().getAsync("WASM_HAS_SIMD_SUPPORT")
  const detail = `tfjs ${core.version_core}, WebAssembly${simd ? " with SIMD" : ""}`
  return { available: true, tf: { ...core, ...layers }, backend: "wasm", detail }
}

// A full heap answers address 0, and the backend would write the tensor there.
function refuseFailedAllocations(backend: BackendWasm): void {
  const wasm = backend.wasm as unknown as { _malloc: (bytes: number) => number } // its types leave it out
  const allocate = wasm._malloc
  wasm._malloc = (bytes: number): number => {
    const address = allocate(bytes)
    if (address === 0 && bytes > 0) throw new RangeError(`WebAssembly memory has no room for ${bytes} more bytes`)
    return address
  }
}
