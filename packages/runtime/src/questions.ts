/**
 * From what callers ask to whole batches for an engine, and from its batches to answers by name.
 *
 *     inputs [{ name: "image", shape: [28, 28], … }], instances [[[0, …], …], …]  -> [{ shape: [n, 28, 28], data }]
 *     outputs [{ name: "prob", shape: [10], … }], [{ shape: [n, 10], data }]      -> [{ prob: [0.1, …] }, …]
 */
import { RuntimeError } from "./errors.ts"
import { columnsOf } from "./instances.ts"
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
  const columns = columnsOf(inputs, instances)
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
