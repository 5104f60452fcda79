/** What crosses between a model and its engine's thread. Bytes and tensors are transferred, not copied. */
import type { ErrorReport } from "../errors.ts"
import type { TensorData, TensorSpec } from "../tensors.ts"
import type { EngineReport } from "./engine.ts"

/** The first message: which bytes to open, on what. */
export interface LoadRequest {
  readonly kind: "load"
  readonly device: string
  readonly format: string
  readonly entrypoint: string | undefined
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> }[]
}

export interface PredictRequest {
  readonly kind: "predict"
  readonly inputs: readonly TensorData[]
}

export interface LoadReply {
  readonly engine: EngineReport
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
}

export type PredictReply = readonly TensorData[]

export interface Call {
  readonly id: number
  readonly request: LoadRequest | PredictRequest
}

export type Reply =
  | { readonly id: number; readonly value: LoadReply | PredictReply }
  | { readonly id: number; readonly error: ErrorReport }
