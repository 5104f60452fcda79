/**
 * From what callers ask to whole batches for an engine, and from its batches to answers by name.
 *
 *     inputs [{ name: "image", shape: [28, 28], … }], instances [[[0, …], …], …]  -> [{ shape: [n, 28, 28], data }]
 *     outputs [{ name: "prob", shape: [10], … }], [{ shape: [n, 10], data }]      -> [{ prob: [0.1, …] }, …]
 */
import { RuntimeError } from "./errors.ts"
import {
  type OutputValue,
  packBatch,
  type TensorData,
  type TensorSpec,
  type TensorValue,
  unpackBatch,
} from "./tensors.ts"

/** One question, without a batch: the tensor of a model with one input, else the tensors by input name. */
export type Instance = TensorValue | { readonly [input: string]: TensorValue }
/** One answer: the tensors by output name, without a batch. */
export type Answer = Record<string, OutputValue>

/** One batch per input, in the model's order. Throws INPUT_INVALID. */
export function packQuestion(inputs: readonly TensorSpec[], instances: readonly Instance[]): TensorData[] {
  const columns = splitInputs(inputs, instances)
  return inputs.map((spec, index) => packBatch(spec, columns[index] ?? []))
}

/** One answer per instance. Throws OUTPUT_INVALID for what is no number, or no answer to so many instances. */
export function unpackAnswers(outputs: readonly TensorSpec[], tensors: readonly TensorData[], count: number): Answer[] {
  const columns = outputs.map((spec, index) => {
    const tensor = tensors[index]
    if (tensor?.shape[0] !== count) throw new RuntimeError("OUTPUT_INVALID", `output ${spec.name} lacks the batch`)
    return unpackBatch(spec, tensor)
  })
  return Array.from({ length: count }, (_, row) =>
    Object.fromEntries(outputs.map(({ name }, column) => [name, columns[column]?.[row] ?? []])),
  )
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
