/** TensorFlow.js on one kind of device, as the loader of layers models needs it. */
import type * as Core from "@tensorflow/tfjs-core"
import type * as Layers from "@tensorflow/tfjs-layers"
import type { Missing } from "../engine.ts"

/** tfjs-core and tfjs-layers of one and the same instance: tensors of one mean nothing to another. */
export type TensorFlow = Omit<typeof Core, "default"> & Pick<typeof Layers, "initializers" | "layers" | "models">

export type OpenedBackend = Missing | ({ readonly available: true } & Backend)

export interface Backend {
  readonly tf: TensorFlow
  /** tfjs's name for it; nothing may compute on another. */
  readonly backend: string
  /** Versions and the like, for people. */
  readonly detail: string
  /** Bytes of weights it has room for. */
  readonly maxWeightBytes: number
  /** |its answer − that of js| may be this much, times the largest value inside where that is more than 1. */
  readonly precision: number
  /** What it does not answer right: such a model is passed over. */
  readonly limits: readonly EngineLimit[]
  /** Throws EngineLost when the last answer can't be trusted, OUTPUT_INVALID when a value inside was not finite. */
  readonly check: () => void | Promise<void>
}

/** One layer of a model that is built, as often as it is called. */
export interface LayerFacts {
  readonly className: string
  readonly name: string
  /** The library's layer, for its settings. */
  readonly layer: object
  /** With the batch first; `null` is a size that is not known before the question. */
  readonly inputShape: readonly (number | null)[]
}

/** Why the engine does not compute this layer right; `null` when it does. */
export type EngineLimit = (facts: LayerFacts) => string | null
