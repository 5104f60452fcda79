/**
 * The tensors that a model's layers say they will make, from the declared input: before anything is computed.
 *
 *     RepeatVector, n = 1e9, of 2 numbers: [any, 1000000000, 2] is refused when the model is loaded
 */
import type { LayersModel } from "@tensorflow/tfjs-layers"
import { leastBytes } from "../../answer-body.ts"
import { refused } from "../../errors.ts"
import { defaultMaxAnswer } from "../../options.ts"
import { listOfShapes } from "./layer-limits.ts"
import { describe, elementsIn, maxElements, type TensorData, type TensorSpec } from "../../tensors.ts"

/** Rows that are computed at once: more would make small models no faster. */
const maxChunk = 256
/** Elements that the largest tensor of a chunk should have: 64 MiB. */
const chunkElements = 2 ** 24

type Shape = readonly (number | null)[]

export interface Activation {
  readonly layer: string
  /** With the batch; `null` is a size left open. */
  readonly shape: Shape
}

/** Layers without weights can blow up too: RepeatVector, UpSampling2D, ZeroPadding2D. Throws MODEL_REFUSED. */
export function requireSaneShapes(activations: readonly Activation[]): void {
  for (const { layer, shape } of activations) {
    const sane = shape.every((size) => size === null || (Number.isSafeInteger(size) && size > 0))
    if (!sane || instanceElements(shape, 1) > maxElements)
      throw refused(`layer ${layer} would make a tensor of shape ${describe(shape)}`)
  }
}

/** Throws MODEL_REFUSED when the answer to a single row could never be sent. */
export function requireAnswerFits(outputs: readonly TensorSpec[]): void {
  const bytes = outputs.reduce((total, { shape }) => total + leastBytes(instanceElements([null, ...shape], 1)), 0)
  if (bytes <= defaultMaxAnswer) return
  throw refused(`the answer to one row takes at least ${bytes} bytes as JSON; an answer may have ${defaultMaxAnswer}`)
}

/** How many rows of this question to compute at once; where a size is left open, by its largest. */
export function chunkRows(activations: readonly Activation[], batch: readonly TensorData[]): number {
  const open = Math.max(1, ...batch.flatMap(({ shape }) => shape.slice(1)))
  const largest = activations.reduce((most, { shape }) => Math.max(most, instanceElements(shape, open)), 1)
  return Math.max(1, Math.min(maxChunk, Math.floor(chunkElements / largest)))
}

/** Of every call of every layer, those of nested models too. */
export function activationsOf(model: LayersModel): Activation[] {
  return model.layers.flatMap((layer) => {
    const inner = "layers" in layer ? activationsOf(layer as LayersModel) : []
    const shapes = layer.inboundNodes.flatMap(({ outputShapes }) => listOfShapes(outputShapes))
    return [...inner, ...shapes.map((shape): Activation => ({ layer: layer.name, shape }))]
  })
}

function instanceElements([, ...shape]: Shape, open: number): number {
  return elementsIn(shape.map((size) => size ?? open))
}
