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

export interface AnswerLimits {
  /** Rows a question may have; default 16384. */
  readonly maxRows?: number
  /** Bytes of JSON an answer may have; default 64 MiB. */
  readonly maxAnswer?: number
}

export const defaultMaxRows = 16_384
export const defaultMaxAnswer: number = 64 * 2 ** 20

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
  /**
   * As `predictBatch`, for a body of the REST interface, to the body of its answer: `{"instances":[…]}` to
   * `{"predictions":[…]}`, `{"inputs":[…]}` to `{"outputs":[…]}`. All of it is done in the engine's thread. The body's
   * buffer moves there: it reads as empty afterwards. Throws TOO_LARGE for too many rows, too.
   */
  predictJson(body: Uint8Array<ArrayBuffer>, limits?: AnswerLimits): Promise<Uint8Array<ArrayBuffer>>
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
    async predictJson(body, { maxRows = defaultMaxRows, maxAnswer = defaultMaxAnswer } = {}) {
      return await link.answer({ kind: "answer", body: ownBuffer(body), maxRows, maxAnswer })
    },
    dispose: () => link.close(),
  }
}

// A view of a larger buffer (Node pools small ones) can't be transferred without taking its neighbours along.
function ownBuffer(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice()
}

// A small question may not ask for an answer that fills memory.
function requireAnswerSize(outputs: readonly TensorSpec[], count: number): void {
  for (const { name, shape } of outputs) {
    const each = shape.reduce<number>((product, size) => product * (size ?? 1), 1)
    if (each * count > maxElements)
      throw new RuntimeError("INPUT_INVALID", `${count} instances make output ${name} too large`)
  }
}
