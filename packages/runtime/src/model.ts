/**
 * A verified model, loaded and ready to answer.
 *
 *     const { prob } = await model.predict(image)      // image: 28 lists of 28 numbers, or a Float32Array(784)
 *     prob                                             // ten numbers, by the name of the output layer
 */
import type { VerifiedManifest } from "@weighlock/manifest"
import { RuntimeError } from "./errors.ts"
import type { EngineReport } from "./engines/engine.ts"
import type { LoadReply } from "./engines/messages.ts"
import type { WorkerLink } from "./engines/worker-link.ts"
import { type Answer, type Instance, packQuestion, unpackAnswers } from "./questions.ts"
import { maxElements, type TensorSpec } from "./tensors.ts"

export interface Model {
  /** What was verified; its `digest` names the answers. */
  readonly manifest: VerifiedManifest
  /** The engine that was chosen, and why not a faster one. */
  readonly engine: EngineReport
  /** In the model's order; shapes without the batch. */
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** Why it can't answer any more; `null` while it can. */
  readonly failure: Error | null
  /** Throws INPUT_INVALID, OUTPUT_INVALID, or UNAVAILABLE when too many are waiting. */
  predict(instance: Instance): Promise<Answer>
  /** As `predict`, one answer per instance, in order. */
  predictBatch(instances: readonly Instance[]): Promise<Answer[]>
  /** Ends the engine's thread; what waits is refused with UNAVAILABLE. Safe to call twice. */
  dispose(): Promise<void>
}

export function workerModel(manifest: VerifiedManifest, link: WorkerLink, loaded: LoadReply): Model {
  const { engine, inputs, outputs } = loaded
  async function predictBatch(instances: readonly Instance[]): Promise<Answer[]> {
    if (instances.length === 0) return []
    requireAnswerSize(outputs, instances.length)
    const batch = packQuestion(inputs, instances)
    return unpackAnswers(outputs, await link.predict({ kind: "predict", inputs: batch }), instances.length)
  }
  return {
    manifest,
    engine,
    inputs,
    outputs,
    predictBatch,
    get failure() {
      return link.ended
    },
    async predict(instance) {
      const [answer] = await predictBatch([instance])
      if (!answer) throw new RuntimeError("OUTPUT_INVALID", "the model answered nothing")
      return answer
    },
    dispose: () => link.close(),
  }
}

// A small question may not ask for an answer that fills memory.
function requireAnswerSize(outputs: readonly TensorSpec[], count: number): void {
  for (const { name, shape } of outputs) {
    const each = shape.reduce<number>((product, size) => product * (size ?? 1), 1)
    if (each * count > maxElements)
      throw new RuntimeError("INPUT_INVALID", `${count} instances make output ${name} too large`)
  }
}
