/** Whether this machine has what a GPU provider of onnxruntime needs, seen without loading any of it: it writes to stderr. */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { type Installed, onnxruntimePackage } from "../installed/packages.ts"
import type { Provider } from "./session.ts"

export interface GpuFacts {
  /** Vulkan on the processor. */
  readonly software: boolean
  readonly why: string | null
}

const none = { software: false, why: null }

export function gpuOf(provider: Provider, { folder }: Pick<Installed, "folder">): GpuFacts {
  if (provider === "cuda") return cuda(folder)
  return provider === "webgpu" ? webgpu() : none
}

function cuda(folder: string): GpuFacts {
  const library = process.platform === "win32" ? "onnxruntime_providers_cuda.dll" : "libonnxruntime_providers_cuda.so"
  if (!existsSync(join(folder, onnxruntimePackage.nativeFolder, library)))
    return { software: false, why: `${library} is not there: \`weighlock engine add onnxruntime --cuda DIR\`` }
  const isHere = process.platform !== "linux" || devices("/dev").some((name) => /^nvidia\d+$|^dxg$/.test(name))
  return { software: false, why: isHere ? null : "this machine has no NVIDIA device" }
}

// Where the system shows no GPU, what answers Vulkan's question is a program.
function webgpu(): GpuFacts {
  if (process.platform !== "linux") return none
  const isHere =
    devices("/dev/dri").some((name) => name.startsWith("renderD")) ||
    devices("/dev").some((name) => /^nvidia\d+$|^dxg$|^mali\d+$|^kgsl-3d\d+$/.test(name))
  if (isHere) return none
  if (process.env["WEIGHLOCK_SOFTWARE_GPU"] === "1") return { software: true, why: null }
  return { software: false, why: "this machine has no GPU (WEIGHLOCK_SOFTWARE_GPU=1 takes one that is a program)" }
}

function devices(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
