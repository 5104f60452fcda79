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
import {
  type OutputValue,
  packBatch,
  type TensorData,
  type TensorSpec,
  type TensorValue,
  unpackBatch,
  maxElements,
} from "./tensors.ts"

/** One question, without a batch: the tensor of a model with one input, else the tensors by input name. */
export type Instance = TensorValue | { readonly [input: string]: TensorValue }
/** One answer: the tensors by output name, without a batch. */
export type Answer = Record<string, OutputValue>

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
    const columns = splitInputs(inputs, instances)
    const batch = inputs.map((spec, index) => packBatch(spec, columns[index] ?? []))
    return joinOutputs(outputs, await link.predict({ kind: "predict", inputs: batch }), instances.length)
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

/** For each input its value in every instance. */
function splitInputs(inputs: readonly TensorSpec[], instances: readonly Instance[]): unknown[][] {
  const named = instances.map((instance) => nameTensors(inputs, instance))
  return inputs.map(({ name }) => named.map((tensors) => tensors[name]))
}

function nameTensors(inputs: readonly TensorSpec[], instance: Instance): Record<string, unknown> {
  const names = inputs.map(({ name }) => name)
  if (typeof instance !== "object" || instance === null || isList(instance)) {
    if (names.length === 1) return { [String(names[0])]: instance }
    throw new RuntimeError("INPUT_INVALID", `expected an object with the inputs ${names.join(", ")}`)
  }
  const found = Object.keys(instance)
  if (found.length !== names.length || !names.every((name) => Object.hasOwn(instance, name))) {
    throw new RuntimeError(
      "INPUT_INVALID",
      `expected the inputs ${names.join(", ")}, found ${found.join(", ") || "none"}`,
    )
  }
  return instance as Record<string, unknown>
}

function isList(value: object): boolean {
  return Array.isArray(value) || ArrayBuffer.isView(value)
}

function joinOutputs(outputs: readonly TensorSpec[], tensors: readonly TensorData[], count: number): Answer[] {
  const columns = outputs.map((spec, index) => {
    const tensor = tensors[index]
    if (tensor?.shape[0] !== count) throw new RuntimeError("OUTPUT_INVALID", `output ${spec.name} lacks the batch`)
    return unpackBatch(spec, tensor)
  })
  return Array.from({ length: count }, (_, row) =>
    Object.fromEntries(outputs.map(({ name }, column) => [name, columns[column]?.[row] ?? []])),
  )
}

// A small question may not ask for an answer that fills memory.
function requireAnswerSize(outputs: readonly TensorSpec[], count: number): void {
  for (const { name, shape } of outputs) {
    const each = shape.reduce<number>((product, size) => product * (size ?? 1), 1)
    if (each * count > maxElements)
      throw new RuntimeError("INPUT_INVALID", `${count} instances make output ${name} too large`)
  }
}
