/** Pure JavaScript: slow, and runs wherever Node does. */
import * as core from "@tensorflow/tfjs-core"
import * as layers from "@tensorflow/tfjs-layers"
import "@tensorflow/tfjs-backend-cpu"
import type { OpenedBackend } from "./backend.ts"
import { watchJs } from "./js-reference.ts"
import { tfjsLimits } from "./tfjs-limits.ts"

export async function openJs(): Promise<OpenedBackend> {
  core.enableProdMode() // no advice on the console
  if (!(await core.setBackend("cpu"))) return { available: false, why: "the JavaScript backend did not start" }
  const tf = { ...core, ...layers }
  watchJs(tf)
  return {
    available: true,
    tf,
    backend: "cpu",
    detail: `tfjs ${core.version_core}, plain JavaScript`,
    maxWeightBytes: Infinity,
    precision: 0,
    limits: tfjsLimits,
    check: () => undefined,
  }
}
