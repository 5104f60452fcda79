/**
 * What the WebAssembly backend of tfjs 4.22 does not compute right, or not at all. Everything else was compared with the
 * JavaScript one (test/matrix).
 */
import type { EngineLimit } from "./engine.ts"
import { narrowWindow, samePaddingIsNegative, settingsOf, spatialSizes } from "./layer-limits.ts"
import { tfjsLimits } from "./tfjs-limits.ts"

/** Beyond this an average in float32 is wrong in the fifth digit. */
const largestPool = 4096
/** Beyond this a sum of equal products no longer grows. */
const largestDot = 2 ** 20

const planar = new Set(["Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D"])

export const wasmLimits: readonly EngineLimit[] = [
  ...tfjsLimits,
  (facts) => {
    if (!planar.has(facts.className)) return null
    return samePaddingIsNegative(settingsOf(facts), spatialSizes(facts)) ? narrowWindow : null
  },
  ({ className }) => (className === "Conv3DTranspose" ? "its kernel leaves most of the sum out" : null),
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
  (facts) => {
    const pool = settingsOf(facts).poolSize
    if (!facts.className.startsWith("AveragePooling") || pool === undefined) return null
    return product(pool) > largestPool ? `an average over ${product(pool)} values` : null
  },
  ({ className, inputShape }) => {
    const inner = inputShape.at(-1) ?? 0
    return className === "Dense" && inner > largestDot ? `a sum over ${inner} values` : null
  },
]

function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * size, 1)
}
