/** What the engines' limits are written in: the layers of a model that is built, and the sizes they meet. */
import type { LayersModel } from "@tensorflow/tfjs-layers"
import { EngineWrong } from "../engine.ts"
import type { EngineLimit, LayerFacts } from "./backend.ts"

type Sizes = readonly (number | null)[]

interface BuiltLayer {
  readonly name: string
  getClassName(): string
  readonly inboundNodes: readonly { readonly inputShapes: unknown }[]
  readonly layers?: readonly BuiltLayer[]
  /** The layer that a wrapper runs. */
  readonly layer?: BuiltLayer
  readonly forwardLayer?: BuiltLayer
  readonly backwardLayer?: BuiltLayer
}

/** Throws EngineWrong for the first layer that the engine does not compute right. */
export function requireRight(limits: readonly EngineLimit[], model: LayersModel): void {
  for (const facts of layersOf(model)) {
    for (const limit of limits) {
      const why = limit(facts)
      if (why !== null) throw new EngineWrong(`it is wrong for layer ${facts.name} (${facts.className}): ${why}`)
    }
  }
}

/** Every layer, those inside models and wrappers too, once for each shape that it is called on. */
function layersOf(model: BuiltLayer): LayerFacts[] {
  return (model.layers ?? []).flatMap((layer) => {
    const shapes = layer.inboundNodes.flatMap(({ inputShapes }) => listOfShapes(inputShapes))
    return [...layersOf(layer), ...shapes.flatMap((shape) => callsOn(layer, shape))]
  })
}

function callsOn(layer: BuiltLayer, inputShape: Sizes): LayerFacts[] {
  const facts = { className: layer.getClassName(), name: layer.name, layer, inputShape }
  const inner = [layer.layer, layer.forwardLayer, layer.backwardLayer].filter((one) => one !== undefined)
  return [facts, ...inner.flatMap((one) => innerCalls(one, innerShape(facts.className, inputShape)))]
}

function innerCalls(layer: BuiltLayer, inputShape: Sizes): LayerFacts[] {
  return layer.layers === undefined ? callsOn(layer, inputShape) : layersOf(layer)
}

// A layer that is distributed over time does not see the axis of time.
function innerShape(className: string, [batch = null, ...rest]: Sizes): Sizes {
  return className === "TimeDistributed" ? [batch, ...rest.slice(1)] : [batch, ...rest]
}

/** The library keeps one shape, or a list of them, and a list in a list for a model within a model. */
export function listOfShapes(shapes: unknown): Sizes[] {
  if (!Array.isArray(shapes)) return []
  const isShape = shapes.length > 0 && shapes.every((size) => size === null || typeof size === "number")
  return isShape ? [shapes as Sizes] : shapes.flatMap(listOfShapes)
}

/** The settings of the library's layers that limits ask for. */
export interface LayerSettings {
  readonly padding?: string
  readonly dataFormat?: string
  readonly kernelSize?: readonly number[]
  readonly poolSize?: readonly number[]
  readonly strides?: readonly number[]
  readonly dilationRate?: number | readonly number[]
  readonly sharedAxes?: readonly number[] | null
  readonly cell?: LayerSettings
}

export function settingsOf({ layer }: LayerFacts): LayerSettings {
  return layer
}

/** Per axis the kernel, with the gaps of its dilation, or the pool. */
export function windowOf({ kernelSize, poolSize, dilationRate = 1 }: LayerSettings): readonly number[] {
  if (kernelSize === undefined) return poolSize ?? []
  const gap = (axis: number): number => (typeof dilationRate === "number" ? dilationRate : (dilationRate[axis] ?? 1))
  return kernelSize.map((size, axis) => (size - 1) * gap(axis) + 1)
}

/** The sizes along the axes of space. */
export function spatialSizes({ layer, inputShape }: LayerFacts): Sizes {
  const dataFormat = (layer as { dataFormat?: string }).dataFormat
  return dataFormat === "channelsFirst" ? inputShape.slice(2) : inputShape.slice(1, -1)
}

/**
 * Padding that keeps the size ("same") would have to take something away where the windows leave a gap at the end:
 * (ceil(n/s) − 1)·s + k < n. For a size that is not known there is always such an n when k < s.
 */
export function samePaddingIsNegative(settings: LayerSettings, lengths: Sizes): boolean {
  if (settings.padding !== "same") return false
  return windowOf(settings).some((k, axis) => {
    const [s, n] = [settings.strides?.[axis] ?? 1, lengths[axis] ?? null]
    return n === null ? k < s : (Math.ceil(n / s) - 1) * s + k < n
  })
}

export const narrowWindow = "padding same with a window smaller than the stride"
