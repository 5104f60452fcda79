/**
 * What a publisher asks about a model before it is signed. These are the only functions that take bytes nobody verified,
 * and they hand out no Model: nothing here can be served.
 *
 *     await checkLoadable({ format: "tfjs-layers", entrypoint: "model.json", files })   // throws what a loader would say
 *     const { engine, output } = await answerGolden(source, question)               // the bytes of golden/output.json
 */
import { messageOf, RuntimeError } from "./errors.ts"
import { enginesFor } from "./engines/choose.ts"
import { defaultGoldenTimeout, loadWithExample } from "./engines/load-with-example.ts"
import type { LoadReply } from "./engines/messages.ts"
import { WorkerLink } from "./engines/worker-link.ts"
import { openFormat, requireSupported, supportedFormats } from "./formats/format.ts"
import { openGolden, openInput, writeOutput } from "./golden/golden-example.ts"
import type { Weight, WeightSpec } from "./formats/weights.ts"
import { goldenInput, goldenOutput, maxGoldenBytes, splitGolden } from "./golden/golden-files.ts"
import { type Instance, packQuestion, unpackAnswers } from "./questions.ts"

/** A model's files by their names in the manifest. */
export interface UnverifiedModel {
  readonly format: string
  readonly entrypoint: string | undefined
  readonly files: ReadonlyMap<string, Uint8Array>
}

export interface GoldenAnswer {
  /** The engine that answered. */
  readonly engine: string
  /** What golden/output.json has to hold. */
  readonly output: Uint8Array
}

/** Whether this version has a loader for the format. */
export function isLoadable(format: string): boolean {
  return supportedFormats.includes(format)
}

export interface AskOptions {
  readonly signal?: AbortSignal
}

/**
 * Reads the files as a loader would. The layers of a layers model are built, without the numbers of the weights; any other,
 * and one with a golden example, is loaded and asked, where an engine for it is installed. Throws MODEL_REFUSED,
 * UNAVAILABLE, or the signal's reason; says nothing about formats without a loader.
 */
export async function checkLoadable(source: UnverifiedModel, { signal }: AskOptions = {}): Promise<void> {
  const { format, entrypoint, files } = source
  const { model, golden } = splitGolden(files)
  if (golden) openGolden(golden)
  if (!isLoadable(format)) return
  const artifacts = openFormat(format, entrypoint, model as ReadonlyMap<string, Uint8Array<ArrayBuffer>>)
  if (golden !== null || artifacts.kind !== "layers") return await requireAnswers(source, signal)
  const weights = artifacts.weights.map(specOf)
  await inThread(signal, (link) => link.check({ kind: "check", topology: artifacts.topology, weights }))
}

function specOf({ name, shape, dtype, place }: Weight): WeightSpec {
  return { name, shape, dtype, ...(place && { place }) }
}

/** Where no engine for the format is installed, our own reading of the files has to do. */
async function requireAnswers(source: UnverifiedModel, signal: AbortSignal | undefined): Promise<void> {
  try {
    await onFirstEngine(source.format, (device) => inThread(signal, (link) => load(link, device, source)))
  } catch (error) {
    const isMissing = error instanceof RuntimeError && error.code === "DEVICE_UNAVAILABLE"
    if (!isMissing) throw error
  }
}

/**
 * Asks the model with the plainest engine of its format, else with the first engine that loads it. A golden example among the files is left
 * out. Throws MODEL_REFUSED, INPUT_INVALID, OUTPUT_INVALID, DEVICE_UNAVAILABLE, UNAVAILABLE, or the signal's reason.
 */
export async function answerGolden(
  source: UnverifiedModel,
  input: Uint8Array,
  { signal }: AskOptions = {},
): Promise<GoldenAnswer> {
  requireSupported(source.format)
  const instances = readInput(input)
  const model = [...source.files].filter(([name]) => name !== goldenInput && name !== goldenOutput)
  const plain = { ...source, files: new Map(model) }
  return await onFirstEngine(source.format, (device) =>
    inThread(signal, async (link) => await answer(link, await load(link, device, plain), instances)),
  )
}

/** The plainest of the format's engines, else whichever loads it. */
async function onFirstEngine<T>(format: string, attempt: (device: string) => Promise<T>): Promise<T> {
  try {
    return await attempt(enginesFor("cpu", format).at(-1)?.name ?? "cpu")
  } catch (error) {
    const otherEngine = error instanceof RuntimeError && ["MODEL_REFUSED", "DEVICE_UNAVAILABLE"].includes(error.code)
    if (!otherEngine) throw error
    return await attempt("auto")
  }
}

function readInput(input: Uint8Array): readonly Instance[] {
  if (input.length > maxGoldenBytes) {
    throw new RuntimeError(
      "INPUT_INVALID",
      `the golden question has ${input.length} bytes, more than ${maxGoldenBytes}`,
    )
  }
  try {
    return openInput(input)
  } catch (cause) {
    throw new RuntimeError("INPUT_INVALID", messageOf(cause), { cause })
  }
}

async function inThread<T>(signal: AbortSignal | undefined, ask: (link: WorkerLink) => Promise<T>): Promise<T> {
  signal?.throwIfAborted()
  const link = new WorkerLink()
  const stop = (): void => void link.close("was told to stop")
  signal?.addEventListener("abort", stop, { once: true })
  try {
    return await ask(link)
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener("abort", stop)
    await link.close()
  }
}

// The caller keeps its bytes: copies move into the thread.
function load(link: WorkerLink, device: string, { format, entrypoint, files }: UnverifiedModel): Promise<LoadReply> {
  const copies = [...files].map(([name, bytes]) => ({ name, bytes: new Uint8Array(bytes) }))
  return loadWithExample(link, { kind: "load", device, format, entrypoint, files: copies }, defaultGoldenTimeout)
}

async function answer(
  link: WorkerLink,
  { engine, inputs, outputs }: LoadReply,
  instances: readonly Instance[],
): Promise<GoldenAnswer> {
  const tensors = await link.predict({ kind: "predict", inputs: packQuestion(inputs, instances) })
  const output = writeOutput(outputs, unpackAnswers(outputs, tensors, instances.length))
  if (output.length > maxGoldenBytes) {
    const why = `the golden answer has ${output.length} bytes; at most ${maxGoldenBytes} are accepted`
    throw new RuntimeError("OUTPUT_INVALID", why, { hint: "ask fewer instances" })
  }
  return { engine: engine.name, output }
}
