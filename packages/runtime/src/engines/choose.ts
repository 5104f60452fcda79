/**
 * `--device` to engines, fastest first. `gpu` and an engine's name fail closed: there is no slower stand-in. (`cpu` is the
 * kind of device; the plain JavaScript engine is called `js`.)
 */
import { RuntimeError } from "../errors.ts"
import { type EngineName, engineNames } from "./engine-names.ts"
import type { Engine } from "./engine.ts"

interface EngineEntry {
  readonly name: EngineName
  readonly device: "gpu" | "cpu"
  readonly load: () => Promise<Engine>
}

const byName: Readonly<Record<EngineName, Omit<EngineEntry, "name">>> = {
  "tfjs-node-gpu": { device: "gpu", load: async () => (await import("./tfjs-node-gpu.ts")).tfjsNodeGpuEngine },
  wasm: { device: "cpu", load: async () => (await import("./wasm.ts")).wasmEngine },
  js: { device: "cpu", load: async () => (await import("./cpu.ts")).cpuEngine },
}
const engines: readonly EngineEntry[] = engineNames.map((name) => ({ name, ...byName[name] }))

/** Throws USAGE for a word that is no device. */
export function enginesFor(device: string): readonly EngineEntry[] {
  const chosen = engines.filter(({ name, device: kind }) => device === "auto" || device === kind || device === name)
  if (chosen.length > 0) return chosen
  throw new RuntimeError("USAGE", `no device or engine is called ${JSON.stringify(device)}`, {
    hint: `devices: auto, gpu, cpu; engines: ${engineNames.join(", ")}`,
  })
}
