/**
 * A verified model, loaded and ready to answer.
 *
 *     const { prob } = await model.predict(image)      // image: 28 lists of 28 numbers, or a Float32Array(784)
 *     prob                                             // ten numbers, by the name of the output layer
 */
import type { VerifiedFiles, View } from "@weighlock/client"
import type { VerifiedManifest } from "@weighlock/manifest"
import { RuntimeError } from "./errors.ts"
import type { EngineReport } from "./engines/report.ts"
import type { AnswerReply, PredictReply } from "./engines/messages.ts"
import type { Supervisor } from "./engines/supervisor.ts"
import { defaultMaxAnswer, defaultMaxRows } from "./options.ts"
import { type Answer, type Instance, packQuestion, unpackAnswers } from "./questions.ts"
import { maxElements, type TensorSpec } from "./tensors.ts"

export interface PredictOptions {
  /** The caller has left: nothing is computed that has not begun. */
  readonly signal?: AbortSignal
}

export interface AnswerOptions extends PredictOptions {
  /** Rows a question may have; default 16384. */
  readonly maxRows?: number
  /** Bytes of JSON an answer may have; default 64 MiB. */
  readonly maxAnswer?: number
  /** The body is one instance by itself, and the answer `{"result":{…}}` with its tensors by name. Default false. */
  readonly single?: boolean
}

export interface Model {
  /** What was verified; its `digest` names the answers. */
  readonly manifest: VerifiedManifest
  /** Against what: the registry, or a view that was kept, and how old that is. */
  readonly view: View
  /** The engine that was chosen, and why not a faster one; another one, it may be, after the model was loaded again. */
  readonly engine: EngineReport
  /** In the model's order; shapes without the batch. */
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** Why it can't answer now: UNAVAILABLE while it is loaded again, ENGINE_STUCK for good; `null` while it can. */
  readonly failure: RuntimeError | null
  /** Resolves with ENGINE_STUCK when it will never answer again: the process should end. */
  readonly failed: Promise<RuntimeError>
  /**
   * Throws INPUT_INVALID, OUTPUT_INVALID; TOO_LARGE when the engine has no memory for it; DEADLINE_EXCEEDED; UNAVAILABLE when
   * too many are waiting or the model is loaded again. A signal calls back what has not begun.
   */
  predict(instance: Instance, options?: PredictOptions): Promise<Answer>
  /** As `predict`, one answer per instance, in order. */
  predictBatch(instances: readonly Instance[], options?: PredictOptions): Promise<Answer[]>
  /**
   * As `predictBatch`, for a body of the REST interface, to the body of its answer: `{"instances":[…]}` to
   * `{"predictions":[…]}`, `{"inputs":[…]}` to `{"outputs":[…]}`. All of it is done in the engine's thread. The body's
   * buffer moves there: it reads as empty afterwards. Throws TOO_LARGE for too many rows, too.
   */
  predictJson(body: Uint8Array<ArrayBuffer>, options?: AnswerOptions): Promise<Uint8Array<ArrayBuffer>>
  /** Ends the engine's thread; what waits is refused with UNAVAILABLE. Safe to call twice. */
  dispose(): Promise<void>
}

export function workerModel(
  { manifest, view }: Pick<VerifiedFiles, "manifest" | "view">,
  supervisor: Supervisor,
): Model {
  const { inputs, outputs } = supervisor.loaded
  async function predictBatch(instances: readonly Instance[], { signal }: PredictOptions = {}): Promise<Answer[]> {
    if (instances.length === 0) return []
    requireAnswerSize(outputs, instances.length)
    const question = { kind: "predict", inputs: packQuestion(inputs, instances) } as const
    const tensors = (await supervisor.ask(question, signal)) as PredictReply
    return unpackAnswers(outputs, tensors, instances.length)
  }
  return {
    manifest,
    view,
    inputs,
    outputs,
    predictBatch,
    failed: supervisor.failed,
    get engine() {
      return supervisor.loaded.engine
    },
    get failure() {
      return supervisor.failure
    },
    async predict(instance, options) {
      const [answer] = await predictBatch([instance], options)
      if (!answer) throw new RuntimeError("OUTPUT_INVALID", "the model answered nothing")
      return answer
    },
    async predictJson(body, { maxRows = defaultMaxRows, maxAnswer = defaultMaxAnswer, single = false, signal } = {}) {
      const question = { kind: "answer", body: ownBuffer(body), single, maxRows, maxAnswer } as const
      return (await supervisor.ask(question, signal)) as AnswerReply
    },
    dispose: () => supervisor.close(),
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
