/**
 * The engines, and `--device` to those that may load a format, fastest first. `gpu` and an engine's name fail closed: there
 * is no slower stand-in. (`cpu` is the kind of device; the plain JavaScript engine is called `js`.)
 */
import { RuntimeError } from "../errors.ts"
import type { Engine } from "./engine.ts"
import { onnxEngines } from "./onnx/engines.ts"
import { tfjsEngines } from "./tfjs/engines.ts"

/** All of this version, fastest first among those of one format. Nothing is loaded until one is probed or opened. */
export const engines: readonly Engine[] = [...tfjsEngines, ...onnxEngines]

/** What `--device` takes beside `auto`, `gpu` and `cpu`. */
export const engineNames: readonly string[] = engines.map(({ name }) => name)

/** Throws USAGE for a word that is no device. */
export function requireDevice(device: string): void {
  if (engines.some((engine) => isMeant(engine, device))) return
  throw new RuntimeError("USAGE", `no device or engine is called ${JSON.stringify(device)}`, {
    hint: `devices: auto, gpu, cpu; engines: ${engineNames.join(", ")}`,
  })
}

/** Throws USAGE for a word that is no device; DEVICE_UNAVAILABLE where it never loads this format. */
export function enginesFor(device: string, format: string): readonly Engine[] {
  requireDevice(device)
  const able = engines.filter(({ formats }) => formats.includes(format))
  const chosen = able.filter((engine) => isMeant(engine, device))
  if (chosen.length > 0) return chosen
  throw new RuntimeError("DEVICE_UNAVAILABLE", `device ${device} does not load ${format}`, {
    hint: `engines that do: ${able.map(({ name }) => name).join(", ")}`,
  })
}

function isMeant(engine: Engine, device: string): boolean {
  return device === "auto" || device === engine.device || device === engine.name
}
