/**
 * A tfjs-graph model on an opened backend: the library's own executor, from weights that were read here. Every operation is
 * asked for its size before it runs, and its answer is looked at, as with models of layers.
 */
import { type GraphModel, loadGraphModelSync } from "@tensorflow/tfjs-converter"
import type { NamedTensorMap, Tensor } from "@tensorflow/tfjs-core"
import { isDType } from "../../dtypes.ts"
import { messageOf, refused, RuntimeError } from "../../errors.ts"
import type { GraphArtifacts, GraphTensor } from "../../formats/tfjs-graph.ts"
import type { WeightType, WeightValues } from "../../formats/weights.ts"
import { elementsIn, type TensorData, type TensorSpec } from "../../tensors.ts"
import { EngineUnfit, EngineWrong, EngineLost, type LoadedModel } from "../engine.ts"
import { isAboutMemory } from "../lost-memory.ts"
import { type Ask, predictRows, rehearseRows, signatureOf } from "../rowwise.ts"
import type { Backend, TensorFlow } from "./backend.ts"
import { requireGraphRight } from "./graph-limits.ts"
import { TooSlow, watchJs } from "./js-reference.ts"
import { MemoryGuard } from "./memory-guard.ts"
import { askReference, rehearse, rehearseReference } from "./rehearsal.ts"

/** Throws MODEL_REFUSED, EngineUnfit, EngineWrong. */
export async function openGraphModel(
  backend: Backend,
  artifacts: GraphArtifacts,
  started: number,
): Promise<LoadedModel> {
  const { tf, precision, maxWeightBytes } = backend
  const bytes = artifacts.weights.reduce((total, { shape }) => total + 4 * elementsIn(shape), 0)
  if (bytes > maxWeightBytes) throw new EngineUnfit(`${bytes} bytes of weights; it has room for ${maxWeightBytes}`)
  requireGraphRight(backend.backend, artifacts)
  const signature = signatureOf(artifacts.inputs.map(specOf), artifacts.outputs.map(specOf))
  const reference = watchJs(tf)
  await tf.setBackend("cpu")
  const plain = load(artifacts)
  const onJs = askOn(backend, plain, artifacts, new MemoryGuard(tf, "cpu"))
  // What the rows do is asked of plain JavaScript, once: it is the same on every backend.
  const first = await rehearseRows(signature, timed(onJs, 1_000))
  const questions = first.question === null ? [] : [first.question]
  const budget = Math.max(100, (performance.now() - started) / 20)
  const expected = await askReference({ questions, work: 0, budget }, reference, onJs)
  const finish = (model: GraphModel, report: string, ask: Ask): LoadedModel => ({
    inputs: signature.inputs,
    outputs: first.outputs,
    rehearsal: first.why === null ? report : `not asked: ${first.why}`,
    predict: (batch) => predictRows(signature, first, batch, ask),
    dispose: () => model.dispose(),
  })
  if (backend.backend === "cpu") return finish(plain, rehearseReference(expected), onJs)
  plain.dispose()
  await tf.setBackend(backend.backend)
  const model = load(artifacts)
  const ask = askOn(backend, model, artifacts, new MemoryGuard(tf, backend.backend))
  const report = await rehearse(expected, precision, ask)
  if (tf.getBackend() !== backend.backend)
    throw new EngineWrong(`it moved from ${backend.backend} to ${tf.getBackend()}`)
  return finish(model, report, ask)
}

function specOf({ name, dtype, shape }: GraphTensor): TensorSpec {
  return { name, dtype, shape }
}

/** A first question that takes long is given up, and nothing is known of the rows. */
function timed(ask: Ask, milliseconds: number): Ask {
  let left = milliseconds
  return async (batch) => {
    if (left <= 0) throw new RuntimeError("INPUT_INVALID", "it would take too long")
    const before = performance.now()
    try {
      return await ask(batch)
    } finally {
      left -= performance.now() - before
    }
  }
}

function load({ topology, weights }: GraphArtifacts): GraphModel {
  const weightSpecs = weights.map(({ name, shape, dtype }) => ({ name, shape: [...shape], dtype }))
  const parts = weights.map(({ values }) => values())
  try {
    const model = loadGraphModelSync({ modelTopology: topology, weightSpecs, weightData: parts.map(bytesOf) })
    return model as unknown as GraphModel
  } catch (cause) {
    throw refused(`tfjs-converter 4.22 can't build it: ${messageOf(cause).slice(0, 200)}`, { cause })
  }
}

// The library reads its weights from one run of bytes, or a list of such; each of ours is a buffer of its own.
function bytesOf(values: WeightValues): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = values
  return byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)
}

function askOn(
  { tf, check }: Backend,
  model: GraphModel,
  { inputs, outputs }: GraphArtifacts,
  guard: MemoryGuard,
): Ask {
  return async (batch) => {
    const feeds: NamedTensorMap = {}
    inputs.forEach(
      ({ node, dtype }, index) => (feeds[node.replace(/:0$/, "")] = toTensor(tf, dtype as WeightType, batch[index])),
    )
    let found: Tensor[] = []
    try {
      found = execute(
        tf,
        model,
        feeds,
        outputs.map(({ node }) => node),
        guard,
      )
      const answers = await Promise.all(found.map(read))
      await check()
      return answers
    } catch (error) {
      throw inOurWords(error)
    } finally {
      tf.dispose([...found, ...Object.values(feeds)])
    }
  }
}

function execute(
  tf: TensorFlow,
  model: GraphModel,
  feeds: NamedTensorMap,
  names: string[],
  guard: MemoryGuard,
): Tensor[] {
  return guard.within(() =>
    tf.tidy(() => {
      const answer = model.execute(feeds, names)
      // One that only passes its input on would be disposed of with it.
      return (Array.isArray(answer) ? answer : [answer]).map((tensor) => tensor.clone())
    }),
  )
}

function toTensor(tf: TensorFlow, dtype: WeightType, tensor: TensorData | undefined): Tensor {
  const { shape, data } = tensor ?? { shape: [0], data: new Float32Array(0) }
  return tf.tensor(data as WeightValues, [...shape], dtype)
}

async function read(tensor: Tensor): Promise<TensorData> {
  if (!isDType(tensor.dtype)) throw new RuntimeError("OUTPUT_INVALID", `an answer of type ${tensor.dtype}`)
  return { shape: tensor.shape, data: (await tensor.data()).slice() }
}

function inOurWords(error: unknown): unknown {
  for (const kind of [RuntimeError, EngineLost, EngineUnfit, EngineWrong, TooSlow])
    if (error instanceof kind) return error
  if (/^Kernel '.*' not registered for backend|Op type not registered/.test(messageOf(error)))
    return new EngineUnfit(`it has no kernel: ${messageOf(error).slice(0, 100)}`, { cause: error })
  if (isAboutMemory(error)) return error
  return new RuntimeError("INPUT_INVALID", "the graph can't compute this question", {
    cause: error,
    hint: "ask with another shape, or other values",
  })
}
