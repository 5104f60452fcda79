/** The engines of onnxruntime-node: one for each of its execution providers. The package is loaded when one is opened. */
import { messageOf } from "../../errors.ts"
import type { Engine, Missing, OpenedEngine, Probe } from "../engine.ts"
import { checkNative } from "../installed/check-native.ts"
import { findPackage, type Installed, onnxruntimePackage } from "../installed/packages.ts"
import { gpuOf } from "./gpu.ts"
import type { Provider } from "./session.ts"

const formats: readonly string[] = ["onnx"]

/** Fastest first. */
export const onnxEngines: readonly Engine[] = [
  engine("onnxruntime-cuda", "gpu", "cuda"),
  engine("onnxruntime-webgpu", "gpu", "webgpu"),
  engine("onnxruntime", "cpu", "cpu"),
]

function engine(name: string, device: "gpu" | "cpu", provider: Provider): Engine {
  return {
    name,
    device,
    formats,
    probe: () => probe(provider),
    open: () => open(provider),
  }
}

interface Found {
  readonly installed: Installed
  readonly software: boolean
}

/** Nothing of the package is loaded here. */
function find(provider: Provider): Found | Missing {
  const installed = findPackage(onnxruntimePackage)
  if (installed === null)
    return { available: false, why: "onnxruntime-node is not installed", hint: "weighlock engine add onnxruntime" }
  const { why } = checkNative(onnxruntimePackage, installed)
  if (why !== null)
    return { available: false, why: `${installed.folder}: ${why}`, hint: "weighlock engine verify, then engine lock" }
  const gpu = gpuOf(provider, installed)
  return gpu.why === null ? { installed, software: gpu.software } : { available: false, why: gpu.why }
}

async function open(provider: Provider): Promise<OpenedEngine> {
  const found = find(provider)
  if ("available" in found) return found
  const { installed, software } = found
  try {
    const { openRuntime } = await import("./session.ts")
    const runtime = openRuntime(installed.main, provider)
    return {
      available: true,
      detail: `onnxruntime ${installed.version}, ${provider}${software ? " on the processor" : ""}, ${installed.folder}`,
      software,
      load: (artifacts, options) => runtime.load(artifacts, options),
      dispose: () => runtime.dispose(),
    }
  } catch (cause) {
    return { available: false, why: `${installed.folder} did not start: ${messageOf(cause)}` }
  }
}

async function probe(provider: Provider): Promise<Probe> {
  const installed = findPackage(onnxruntimePackage)
  if (installed === null)
    return { path: null, version: null, locked: false, software: false, why: "onnxruntime-node is not installed" }
  const { locked } = checkNative(onnxruntimePackage, installed)
  const { folder: path, version } = installed
  const found = find(provider)
  if ("available" in found) return { path, version, locked, software: false, why: found.why }
  return { path, version, locked, software: found.software, why: await whyNot(installed, provider) }
}

// A product of two matrices whose answer is known.
async function whyNot({ main }: Installed, provider: Provider): Promise<string | null> {
  try {
    const { askProbe } = await import("./session.ts")
    const answer = await askProbe(main, provider)
    return answer === 14 ? null : `it answers ${String(answer)} where 14 is right`
  } catch (error) {
    return messageOf(error)
  }
}
