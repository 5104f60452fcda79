/**
 * An engine runs layers models on one kind of device. Engines live in a worker thread and are opened there; one file each.
 */
import type * as Core from "@tensorflow/tfjs-core"
import type * as Layers from "@tensorflow/tfjs-layers"

/** tfjs-core and tfjs-layers of one and the same instance: tensors of one mean nothing to another. */
export type TensorFlow = Omit<typeof Core, "default"> & Pick<typeof Layers, "initializers" | "layers" | "models">

export interface Engine {
  /** What `--device` takes. */
  readonly name: string
  readonly device: "gpu" | "cpu"
  /** Loads the library and wakes the device. Never throws for a missing one, never hands out a stand-in. */
  open(): Promise<OpenedEngine>
}

export type OpenedEngine =
  | { readonly available: false; readonly why: string }
  | ({ readonly available: true } & ReadyEngine)

export interface ReadyEngine {
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

/** The model is fine, this engine can't run it: another may. */
export class EngineUnfit extends Error {
  override readonly name = "EngineUnfit"
}

/** The engine computes this model, and its numbers are not right: another may. */
export class EngineWrong extends Error {
  override readonly name = "EngineWrong"
}

/** The engine's memory is in an unknown state: its thread has to end. */
export class EngineLost extends Error {
  override readonly name = "EngineLost"
}
