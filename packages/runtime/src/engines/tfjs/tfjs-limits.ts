/** What tfjs-core 4.22 lays out wrong before any kernel runs, so on the JavaScript and the WebAssembly backend alike. */
import type { EngineLimit } from "./backend.ts"
import { narrowWindow, samePaddingIsNegative, settingsOf, spatialSizes } from "./layer-limits.ts"

const volumes = new Set(["Conv3D", "AveragePooling3D", "MaxPooling3D"])

export const tfjsLimits: readonly EngineLimit[] = [
  (facts) => {
    if (!volumes.has(facts.className)) return null
    return samePaddingIsNegative(settingsOf(facts), spatialSizes(facts)) ? narrowWindow : null
  },
  (facts) => {
    const { padding, kernelSize = [], strides = [] } = settingsOf(facts)
    if (facts.className !== "Conv3DTranspose" || padding !== "same") return null
    return kernelSize.some((size, axis) => size < (strides[axis] ?? 1)) ? narrowWindow : null
  },
  ({ className, layer, inputShape }) => {
    if (className !== "Softmax") return null
    const axis = Number((layer as { axis?: number | number[] }).axis ?? -1)
    return axis === -1 || axis === inputShape.length - 1 ? null : `axis ${axis}, which is not the last`
  },
  ({ className, layer, inputShape }) => {
    if (className !== "BatchNormalization") return null
    const axis = Number((layer as { axis?: number | number[] }).axis ?? -1)
    if (inputShape.length > 4) return `an input of ${inputShape.length} axes`
    return axis === -1 || axis === inputShape.length - 1 ? null : `axis ${axis}, which is not the last`
  },
]
