/** What crosses between a model and its engine's thread. Bytes and tensors are transferred, not copied. */
import type { TensorData, TensorSpec } from "../tensors.ts"
import type { Topology } from "../formats/topology.ts"
import type { WeightSpec } from "../formats/weights.ts"
import type { EngineReport } from "./report.ts"

/** The first message: which bytes to open, on what. */
export interface LoadRequest {
  readonly kind: "load"
  readonly device: string
  readonly format: string
  readonly entrypoint: string | undefined
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> }[]
}

/** Would this topology be built, and take these weights? Nothing is loaded. */
export interface CheckRequest {
  readonly kind: "check"
  readonly topology: Topology
  readonly weights: readonly WeightSpec[]
}

/** Is this engine here, and does it answer right? */
export interface ProbeRequest {
  readonly kind: "probe"
  readonly engine: string
}

export interface PredictRequest {
  readonly kind: "predict"
  readonly inputs: readonly TensorData[]
}

/** One body of the REST interface; the thread does all the work on it that grows with its rows. */
export interface AnswerRequest {
  readonly kind: "answer"
  readonly body: Uint8Array<ArrayBuffer>
  /** One instance by itself. */
  readonly single: boolean
  readonly maxRows: number
  /** Bytes of JSON. */
  readonly maxAnswer: number
}

export interface LoadReply {
  readonly engine: EngineReport
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
}

export type PredictReply = readonly TensorData[]
/** JSON. */
export type AnswerReply = Uint8Array<ArrayBuffer>

export type Question = PredictRequest | AnswerRequest

/** How far a load has come: an engine is being tried, or asked the golden example. */
export type LoadStage = "engine" | "golden"
