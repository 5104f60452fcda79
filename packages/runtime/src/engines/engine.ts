/**
 * The seam between verified bytes and what computes: a loaded model.
 *
 *     const opened = await engine.open()                   // the library is loaded, the device is awake
 *     const model = await opened.load(artifacts, { started })
 *     await model.predict(batch)
 *
 * Engines live in a worker thread and are opened there. Each library has a folder beside this file, and each of its engines
 * a line in choose.ts.
 */
import type { Artifacts } from "../formats/format.ts"
import type { TensorData, TensorSpec } from "../tensors.ts"

export interface Engine {
  /** What `--device` takes. */
  readonly name: string
  readonly device: "gpu" | "cpu"
  /** The formats of manifests that it loads. */
  readonly formats: readonly string[]
  /** Whether it is here and answers right: it is opened, and one operation's answer is compared. Never throws. */
  probe(): Promise<Probe>
  /** Loads the library and wakes the device. Never throws for a missing one, never hands out a stand-in. */
  open(): Promise<OpenedEngine>
}

export interface Probe {
  readonly version: string | null
  /** The folder or file that is loaded. */
  readonly path: string | null
  /** Whether its native files are listed in a lock or in our own table; `null` where it has none. */
  readonly locked: boolean | null
  /** A GPU that is computed by the processor. */
  readonly software: boolean
  /** `null` when it is usable. */
  readonly why: string | null
}

export type OpenedEngine = Missing | ({ readonly available: true } & ReadyEngine)

export interface Missing {
  readonly available: false
  readonly why: string
  /** The command that helps. */
  readonly hint?: string
}

export interface ReadyEngine {
  /** Versions and the like, for people. */
  readonly detail: string
  /** A GPU that is computed by the processor. */
  readonly software: boolean
  /** Throws MODEL_REFUSED, EngineUnfit, EngineWrong, EngineLost. */
  load(artifacts: Artifacts, options: LoadingOptions): Promise<LoadedModel>
  /** Gives the device back; what was loaded is gone. */
  dispose(): void | Promise<void>
}

export interface LoadingOptions {
  /** When the load began, in `performance.now()`: a rehearsal may take a part of the time since. */
  readonly started: number
}

export interface LoadedModel {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** Whether it answered a first question as the reference does, or why that was not tried. */
  readonly rehearsal: string
  /** Throws INPUT_INVALID, OUTPUT_INVALID, EngineLost. */
  predict(inputs: readonly TensorData[]): Promise<TensorData[]>
  dispose(): void | Promise<void>
}

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
