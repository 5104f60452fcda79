/** An ONNX model as rows in, rows out. */
import { type DType, isDType, type TensorValues, valuesOf } from "../../dtypes.ts"
import { messageOf, refused, RuntimeError } from "../../errors.ts"
import type { OnnxArtifacts, OnnxTensor } from "../../formats/onnx/onnx.ts"
import { fromHalf, toHalf } from "../../half.ts"
import type { TensorData, TensorSpec } from "../../tensors.ts"
import { answersAgree, peakOf } from "../compare-answers.ts"
import { EngineUnfit, EngineWrong, type LoadedModel } from "../engine.ts"
import { type Ask, predictRows, type Rehearsed, rehearseRows, type Signature, signatureOf } from "../rowwise.ts"
import type { OnnxRuntime, Provider, Session, Sessions, Tensor, ValueMetadata } from "./session.ts"

/** |its answer − that of the processor| may be this much, times the largest value of the answer where that is more than 1. */
const precision = { cpu: 1e-5, webgpu: 1e-3, cuda: 1e-2 } as const

/** Throws MODEL_REFUSED, EngineWrong, EngineUnfit. */
export async function openModel(
  ort: OnnxRuntime,
  { session, reference }: Sessions,
  artifacts: OnnxArtifacts,
  provider: Provider,
): Promise<LoadedModel> {
  const signature = declaredBy(session, artifacts)
  const ask =
    (on: Session): Ask =>
    (batch) =>
      askSession(ort, on, signature, batch)
  const first = await rehearseRows(signature, ask(reference ?? session))
  if (reference !== null) await requireSame(first, ask(session), precision[provider])
  return {
    inputs: signature.inputs,
    outputs: first.outputs,
    rehearsal: rehearsalOf(first, reference !== null),
    predict: (batch) => predictRows(signature, first, batch, ask(session)),
    dispose: () => session.release(),
  }
}

function rehearsalOf({ why }: Rehearsed, isCompared: boolean): string {
  if (why !== null) return `not asked: ${why}`
  return isCompared ? "agrees with onnxruntime on the processor" : "is the reference"
}

function declaredBy(session: Session, artifacts: OnnxArtifacts): Signature {
  return signatureOf(
    artifacts.inputs.map((declared) => specOf("input", declared, session.inputMetadata)),
    artifacts.outputs.map((declared) => specOf("output", declared, session.outputMetadata)),
  )
}

/** With the batch. */
function specOf(what: string, { name, shape }: OnnxTensor, metadata: readonly ValueMetadata[]): TensorSpec {
  const found = metadata.find((value) => value.name === name)
  const dtype = found?.type ?? null
  if (!isDType(dtype)) throw refused(`${what} ${JSON.stringify(name)} is of type ${dtype ?? "unknown"}, not supported`)
  const sizes = (found?.shape ?? []).map((size) => (typeof size === "number" ? size : null))
  if (sizes.length > 0) return { name, dtype, shape: sizes }
  if (shape === null && what === "output") return { name, dtype, shape: [null] } // the rehearsal shows its rank
  throw refused(
    `${what} ${JSON.stringify(name)} has no batch dimension${shape === null ? ": it declares no shape" : ""}`,
    {
      hint: "export it with the batch as the first dimension of every input and output",
    },
  )
}

async function requireSame(
  { question, answer }: Rehearsed,
  ask: (batch: readonly TensorData[]) => Promise<TensorData[]>,
  tolerance: number,
): Promise<void> {
  if (question === null) return
  let found: TensorData[]
  try {
    found = await ask(question)
  } catch (cause) {
    throw new EngineUnfit(messageOf(cause), { cause })
  }
  if (answersAgree(answer, found, tolerance * Math.max(1, peakOf(answer)))) return
  throw new EngineWrong("it answers a first question otherwise than onnxruntime on the processor")
}

async function askSession(
  ort: OnnxRuntime,
  session: Session,
  { inputs, outputs }: Signature,
  batch: readonly TensorData[],
): Promise<TensorData[]> {
  const feeds = Object.fromEntries(
    inputs.map(({ name, dtype }, index) => [name, toTensor(ort, dtype, batch[index])] as const),
  )
  const found = await run(session, feeds)
  return await Promise.all(outputs.map(async ({ name, dtype }) => await fromTensor(name, dtype, found[name])))
}

async function run(
  session: Session,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Readonly<Record<string, Tensor>>> {
  try {
    return await session.run(feeds)
  } catch (cause) {
    throw new RuntimeError("INPUT_INVALID", "the model can't compute this question", {
      cause,
      hint: "ask with another shape, or other values",
    })
  }
}

function toTensor(ort: OnnxRuntime, dtype: DType, tensor: TensorData | undefined): Tensor {
  const { shape, data } = tensor ?? { shape: [0], data: valuesOf(dtype, 0) }
  return new ort.Tensor(dtype, dtype === "float16" ? toHalf(data as Float32Array) : data, shape)
}

async function fromTensor(name: string, dtype: DType, tensor: Tensor | undefined): Promise<TensorData> {
  if (tensor === undefined || tensor.type !== dtype)
    throw new RuntimeError("OUTPUT_INVALID", `output ${name} is not of type ${dtype}`)
  const data = await tensor.getData()
  return {
    shape: tensor.dims,
    data: dtype === "float16" ? fromHalf(data as ArrayBufferView) : owned(data as TensorValues),
  }
}

// What goes to another thread is moved there: a buffer of its own, which nothing native looks at.
function owned(data: TensorValues): TensorValues {
  return data.slice()
}
