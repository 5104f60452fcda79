/** What is told of the engine that was chosen. Without types of any engine: these are part of the package's own. */

/** Which engine a model runs on, and why not a faster one. */
export interface EngineReport {
  readonly name: string
  readonly device: "gpu" | "cpu"
  /** A GPU that is computed by the processor: it counts only where WEIGHLOCK_SOFTWARE_GPU=1 says so. */
  readonly software: boolean
  readonly detail: string
  readonly passedOver: readonly PassedOver[]
  /** Whether it answered a first question as the reference of its format does, or why that was not tried. */
  readonly rehearsal: string
  /** The publisher's example that it answered right; `null` when the model brings none. */
  readonly golden: GoldenReport | null
}

export interface PassedOver {
  readonly name: string
  readonly why: string
  /** It is here and would answer, but not right; else it is missing, or lacks room or a kernel. */
  readonly wrong: boolean
}

export interface GoldenReport {
  readonly instances: number
  readonly tolerance: number
  /** The tolerance is so wide that a wrong answer may pass. */
  readonly loose: boolean
}
