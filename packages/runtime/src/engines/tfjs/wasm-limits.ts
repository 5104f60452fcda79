/**
 * What the WebAssembly backend of tfjs 4.22 does not compute right, or not at all. Everything else was compared with the
 * JavaScript one (test/matrix).
 */
import type { EngineLimit } from "./backend.ts"
import { narrowWindow, samePaddingIsNegative, settingsOf, spatialSizes } from "./layer-limits.ts"
import { tfjsLimits } from "./tfjs-limits.ts"

const planar = new Set(["Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D"])

export const wasmLimits: readonly EngineLimit[] = [
  ...tfjsLimits,
  (facts) => {
    if (!planar.has(facts.className)) return null
    return samePaddingIsNegative(settingsOf(facts), spatialSizes(facts)) ? narrowWindow : null
  },
  ({ className }) => (className === "MaxPooling3D" ? "its kernel begins at the smallest positive number" : null),
  (facts) => {
    const { cell } = settingsOf(facts)
    if (facts.className !== "ConvLSTM2D" || cell === undefined) return null
    if (cell.dataFormat === "channelsFirst") return "data_format channels_first is not there"
    const inTime = { ...facts, inputShape: [null, ...facts.inputShape.slice(2)] }
    return samePaddingIsNegative(cell, spatialSizes(inTime)) ? narrowWindow : null
  },
  (facts) => {
    const shared = settingsOf(facts).sharedAxes ?? []
    const leading = [...shared].sort((a, b) => a - b).every((axis, index) => axis === index + 1)
    return facts.className !== "PReLU" || leading ? null : "shared_axes other than the first ones"
  },
]
