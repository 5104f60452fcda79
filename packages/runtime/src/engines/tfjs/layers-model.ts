/**
 * A layers model on an opened engine: built under a budget, filled with the verified weights, asked once.
 *
 * A topology of 200 bytes can declare terabytes (`"units": 1e9`). The library makes every variable in one place,
 * `Layer.addWeight`; there each has to fit what the weight files brought, before it is allocated.
 */
import type { LayersModel, SymbolicTensor } from "@tensorflow/tfjs-layers"
import type { Tensor } from "@tensorflow/tfjs-core"
import { refused } from "../../errors.ts"
import type { LayersArtifacts } from "../../formats/tfjs-layers.ts"
import type { Topology } from "../../formats/topology.ts"
import type { WeightSpec, WeightType, WeightValues } from "../../formats/weights.ts"
import { elementsIn, type TensorData, type TensorSpec } from "../../tensors.ts"
import { assignWeights, matchWeights } from "./assign-weights.ts"
import { EngineUnfit, EngineWrong, type LoadedModel } from "../engine.ts"
import type { Backend, TensorFlow } from "./backend.ts"
import { watchJs } from "./js-reference.ts"
import { activationsOf, chunkRows, requireAnswerFits, requireSaneShapes } from "./activations.ts"
import { requireRight } from "./layer-limits.ts"
import { type LayerTracker, trackLayers } from "./layer-tracker.ts"
import { MemoryGuard } from "./memory-guard.ts"
import { askInOurWords, buildInOurWords } from "./our-words.ts"
import { askReference, rehearse, rehearseReference } from "./rehearsal.ts"
import { rehearsalQuestions, workOf } from "./rehearsal-question.ts"
import { GrowingTensor, rowsOf } from "../rows.ts"
import { requireMasksHeeded } from "./masks.ts"
import { settleWholeNumbers } from "./whole-numbers.ts"
import { withWeightBudget } from "./weight-budget.ts"

/**
 * Throws MODEL_REFUSED, EngineUnfit, EngineWrong; what it made until then is left on the engine. `started` is when the
 * load began, in `performance.now()`: the rehearsal may take a part of the time since.
 */
export async function openLayersModel(
  engine: Backend,
  artifacts: LayersArtifacts,
  started: number,
): Promise<LoadedModel> {
  requireRoom(engine, artifacts)
  const { tf, backend, precision } = engine
  const { built, model, ask } = await buildModel(engine, artifacts)
  requireRight(engine.limits, built)
  const reference = watchJs(tf)
  assignWeights(tf, built, artifacts.weights)
  const rehearsal = {
    questions: rehearsalQuestions(built, model.inputs),
    work: workOf(built),
    budget: Math.max(100, (performance.now() - started) / 20),
  }
  // Sizes that nobody asked for may be more than anybody would.
  const sparing = new MemoryGuard(tf, "cpu", rehearsal.questions.length > 1 ? 2 ** 26 : undefined)
  const expected = await askReference(rehearsal, reference, (question) => ask(question, sparing))
  if (backend === "cpu") return { ...model, rehearsal: rehearseReference(expected) }
  await tf.setBackend(backend)
  assignWeights(tf, built, artifacts.weights)
  const report = await rehearse(expected, precision, (question) => model.predict(question))
  if (tf.getBackend() !== backend) throw new EngineWrong(`it moved from ${backend} to ${tf.getBackend()}`)
  return { ...model, rehearsal: report }
}

/** A model without the numbers of its weights. */
interface Unfilled {
  readonly topology: Topology
  readonly weights: readonly WeightSpec[]
}

/** All that a load does before it touches the numbers of a weight. Throws MODEL_REFUSED. */
export async function checkLayersModel(engine: Backend, unfilled: Unfilled): Promise<void> {
  const { built } = await buildModel(engine, unfilled)
  matchWeights(built, unfilled.weights)
  try {
    requireRight(engine.limits, built)
  } catch (cause) {
    throw cause instanceof EngineWrong
      ? refused(`no engine but a GPU's may answer right: ${cause.message}`, { cause })
      : cause
  }
}

async function buildModel(
  engine: Backend,
  unfilled: Unfilled,
): Promise<{ built: LayersModel; model: Unrehearsed; ask: Ask }> {
  const tracker = trackLayers(engine.tf)
  const built = await buildInOurWords(tracker, () => build(engine.tf, unfilled))
  return { built, ...loadedModel(engine, tracker, built, unfilled.topology) }
}

type Unrehearsed = Omit<LoadedModel, "rehearsal">
type Ask = (batch: readonly TensorData[], guard: MemoryGuard) => Promise<TensorData[]>

function loadedModel(
  { tf, backend, check }: Backend,
  tracker: LayerTracker,
  built: LayersModel,
  topology: Topology,
): { model: Unrehearsed; ask: Ask } {
  const activations = activationsOf(built)
  requireSaneShapes(activations)
  const guard = new MemoryGuard(tf, backend)
  const inputs = built.inputs.map((tensor, index) => specOf(built.inputNames[index], tensor))
  const positions = topology.outputs ?? built.outputs.map((_, index) => index)
  const names = distinctNames(positions.map((position) => built.outputNames[position] ?? ""))
  const outputs = names.map((name, index) => specOf(name, built.outputs[positions[index] ?? 0]))
  requireAnswerFits(outputs)
  const dtypes = settleWholeNumbers(built, inputs) as readonly WeightType[] // what dtypeOf lets through
  const ask: Ask = (batch, limit) =>
    askInOurWords(tracker, async () => {
      const chunk = chunkRows(activations, batch)
      const answers = await predict(batch, built.outputs.length, chunk, (part) =>
        limit.within(() => compute(tf, built, part, dtypes)),
      )
      await check()
      return inOrder(answers, positions)
    })
  const dispose = (): void => tf.disposeVariables()
  return { model: { inputs, outputs, predict: (batch) => ask(batch, guard), dispose }, ask }
}

/** An output that is named twice has two answers: each is moved to the caller by itself. */
function inOrder(answers: readonly TensorData[], positions: readonly number[]): TensorData[] {
  const given = new Set<number>()
  return positions.flatMap((position) => {
    const answer = answers[position]
    if (answer === undefined) return []
    const { shape, data } = answer
    const again = given.has(position)
    given.add(position)
    return { shape, data: again ? data.slice() : data }
  })
}

function requireRoom({ maxWeightBytes }: Backend, { weights }: LayersArtifacts): void {
  const bytes = weights.reduce((total, { shape, dtype }) => total + elementsIn(shape) * (dtype === "bool" ? 1 : 4), 0)
  if (bytes > maxWeightBytes) throw new EngineUnfit(`${bytes} bytes of weights; it has room for ${maxWeightBytes}`)
}

// Variables begin as zeros of the JavaScript backend: pages that are never touched cost nothing, and the device sees each
// weight once.
async function build(tf: TensorFlow, { topology, weights }: Unfilled): Promise<LayersModel> {
  await tf.setBackend("cpu")
  const model = await withWeightBudget(tf, weights, () => tf.models.modelFromJSON({ modelTopology: topology.model }))
  if (!Array.isArray(model.inputs)) throw refused("the topology names no input shape")
  if (!model.built) model.build(model.inputs[0]?.shape ?? []) // a Sequential settles its names only now
  requireMasksHeeded(model)
  return model
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

function compute(
  tf: TensorFlow,
  model: LayersModel,
  batch: readonly TensorData[],
  dtypes: readonly WeightType[],
): Tensor[] {
  return tf.tidy(() => {
    const inputs = batch.map(({ shape, data }, index) => {
      const dtype = dtypes[index] ?? "float32"
      const values = data as WeightValues
      return tf.tensor(dtype === "float32" ? asFractions(values) : values, [...shape], dtype)
    })
    const answer = model.predict(inputs, { batchSize: batch[0]?.shape[0] ?? 1 })
    return Array.isArray(answer) ? answer : [answer]
  })
}

// The backends take the bytes of whole numbers for those of fractions.
function asFractions(data: WeightValues): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from(data)
}

async function read(tensor: Tensor): Promise<WeightValues> {
  return (await tensor.data()).slice() // the JavaScript backend would hand out its own
}

function specOf(name: string | undefined, tensor: SymbolicTensor | undefined): TensorSpec {
  if (name === undefined || tensor === undefined) throw refused("the topology's inputs or outputs have no name")
  return { name, shape: tensor.shape.slice(1), dtype: dtypeOf(tensor) }
}

function dtypeOf(tensor: SymbolicTensor | undefined): WeightType {
  const dtype = tensor?.dtype ?? "float32"
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype
  throw refused(`an input or output of type ${dtype} is not supported`)
}

// Two outputs of one layer: prob, prob_1, as Keras names them, unless another output has that name.
function distinctNames(names: readonly string[]): string[] {
  const taken = new Set(names)
  const seen = new Set<string>()
  return names.map((name) => {
    let own = name
    for (let count = 1; seen.has(name) && taken.has(own); count++) own = `${name}_${count}`
    seen.add(name)
    taken.add(own)
    return own
  })
}
