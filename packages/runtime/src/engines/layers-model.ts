/**
 * A layers model on an opened engine: built under a budget, filled with the verified weights, asked once.
 *
 * A topology of 200 bytes can declare terabytes (`"units": 1e9`). The library makes every variable in one place,
 * `Layer.addWeight`; there each has to fit what the weight files brought, before it is allocated.
 */
import type { LayersModel, SymbolicTensor } from "@tensorflow/tfjs-layers"
import type { NamedTensorMap, Tensor } from "@tensorflow/tfjs-core"
import { refused, RuntimeError } from "../errors.ts"
import type { LayersArtifacts } from "../formats/tfjs-layers.ts"
import { elementsIn, type TensorData, type TensorSpec, type TensorValues, valuesOf } from "../tensors.ts"
import { EngineUnfit, type ReadyEngine, type TensorFlow } from "./engine.ts"
import { activationsOf, chunkRows, requireAnswerFits, requireSaneShapes } from "./activations.ts"
import { requireRight } from "./layer-limits.ts"
import { MemoryGuard } from "./memory-guard.ts"
import { GrowingTensor, rowsOf } from "./rows.ts"
import { requireMasksHeeded } from "./masks.ts"
import { withWeightBudget } from "./weight-budget.ts"

export interface LoadedModel {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  predict(inputs: readonly TensorData[]): Promise<TensorData[]>
}

/**
 * Throws MODEL_REFUSED, EngineUnfit, or the library's own words about a topology it can't build; what it made until then
 * is left on the engine.
 */
export async function openLayersModel(engine: ReadyEngine, artifacts: LayersArtifacts): Promise<LoadedModel> {
  requireRoom(engine, artifacts)
  const { tf, backend, check } = engine
  const model = await build(tf, artifacts)
  const activations = activationsOf(model)
  requireSaneShapes(activations)
  requireRight(engine.limits, model)
  await tf.setBackend(backend)
  fill(tf, model, artifacts)
  const guard = new MemoryGuard(tf, backend)
  const inputs = model.inputs.map((tensor, index) => specOf(model.inputNames[index], tensor))
  const outputs = distinctNames(model.outputNames).map((name, index) => specOf(name, model.outputs[index]))
  requireAnswerFits(outputs)
  const loaded: LoadedModel = {
    inputs,
    outputs,
    async predict(batch) {
      const answers = await predict(batch, outputs.length, chunkRows(activations, batch), (part) =>
        guard.within(() => compute(tf, model, part)),
      )
      await check()
      return answers
    },
  }
  await rehearse(loaded)
  if (tf.getBackend() !== backend) throw new Error(`the engine moved from ${backend} to ${tf.getBackend()}`)
  return loaded
}

function requireRoom({ maxWeightBytes }: ReadyEngine, { weights }: LayersArtifacts): void {
  const bytes = weights.reduce((total, { shape, dtype }) => total + elementsIn(shape) * (dtype === "bool" ? 1 : 4), 0)
  if (bytes > maxWeightBytes) throw new EngineUnfit(`${bytes} bytes of weights; it has room for ${maxWeightBytes}`)
}

// Variables begin as zeros of the JavaScript backend: pages that are never touched cost nothing, and the device sees each
// weight once.
async function build(tf: TensorFlow, { topology, weights }: LayersArtifacts): Promise<LayersModel> {
  await tf.setBackend("cpu")
  const model = await withWeightBudget(tf, weights, () => tf.models.modelFromJSON({ modelTopology: topology }))
  if (!Array.isArray(model.inputs)) throw refused("the topology names no input shape")
  if (!model.built) model.build(model.inputs[0]?.shape ?? []) // a Sequential settles its names only now
  requireMasksHeeded(model)
  return model
}

function fill(tf: TensorFlow, model: LayersModel, { weights }: LayersArtifacts): void {
  const tensors = Object.create(null) as NamedTensorMap
  for (const { name, shape, dtype, values } of weights) tensors[name] = tf.tensor(values(), [...shape], dtype)
  model.loadWeights(tensors, true) // every variable filled, nothing left over, shapes equal
  tf.dispose(tensors)
}

// In chunks, each of which is read and gone before the next: the library's own loop keeps a tensor per chunk until the end,
// and its time grows with their square.
async function predict(
  batch: readonly TensorData[],
  outputCount: number,
  chunk: number,
  computePart: (part: readonly TensorData[]) => Tensor[],
): Promise<TensorData[]> {
  const rows = batch[0]?.shape[0] ?? 0
  const answers = Array.from({ length: outputCount }, () => new GrowingTensor(rows))
  for (let start = 0; start < rows; start += chunk) {
    const part = batch.map((tensor) => rowsOf(tensor, start, Math.min(rows, start + chunk)))
    const outputs = computePart(part)
    try {
      for (const [index, output] of outputs.entries()) answers[index]?.add(output.shape, await read(output))
    } finally {
      for (const output of outputs) output.dispose()
    }
  }
  return answers.map((answer) => answer.whole())
}

function compute(tf: TensorFlow, model: LayersModel, batch: readonly TensorData[]): Tensor[] {
  return tf.tidy(() => {
    const inputs = batch.map(({ shape, data }, index) => tf.tensor(data, [...shape], dtypeOf(model.inputs[index])))
    const answer = model.predict(inputs, { batchSize: batch[0]?.shape[0] ?? 1 })
    return Array.isArray(answer) ? answer : [answer]
  })
}

async function read(tensor: Tensor): Promise<TensorValues> {
  return (await tensor.data()).slice() // the JavaScript backend would hand out its own
}

// A first question, all zeros: what the engine has no kernel for shows now, not at the first caller's.
async function rehearse(model: LoadedModel): Promise<void> {
  if (model.inputs.some(({ shape }) => shape.includes(null))) return
  const zeros = model.inputs.map(({ shape, dtype }): TensorData => {
    const sizes = shape.map(Number)
    return { shape: [1, ...sizes], data: valuesOf(dtype, elementsIn(sizes)) }
  })
  try {
    await model.predict(zeros)
  } catch (error) {
    if (error instanceof RuntimeError && error.code === "INPUT_INVALID") throw refused(error.message, { cause: error })
    // Its answer to zeros would mean nothing: that is no reason not to ask it something else.
    if (!(error instanceof RuntimeError && error.code === "OUTPUT_INVALID")) throw error
  }
}

function specOf(name: string | undefined, tensor: SymbolicTensor | undefined): TensorSpec {
  if (name === undefined || tensor === undefined) throw refused("the topology's inputs or outputs have no name")
  return { name, shape: tensor.shape.slice(1), dtype: dtypeOf(tensor) }
}

function dtypeOf(tensor: SymbolicTensor | undefined): TensorSpec["dtype"] {
  const dtype = tensor?.dtype ?? "float32"
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype
  throw refused(`an input or output of type ${dtype} is not supported`)
}

// Two outputs of one layer: prob, prob_1, as Keras names them.
function distinctNames(names: readonly string[]): string[] {
  const seen = new Map<string, number>()
  return names.map((name) => {
    const count = seen.get(name) ?? 0
    seen.set(name, count + 1)
    return count === 0 ? name : `${name}_${count}`
  })
}
