/**
 * The thread of one model: it opens verified bytes on the first engine that will, then answers one batch after the other.
 * An endless loop or a crash in here takes this thread, not the server.
 */
import { parentPort } from "node:worker_threads"
import { type ErrorReport, messageOf, reportError, RuntimeError } from "../errors.ts"
import { openFormat } from "../formats/format.ts"
import type { LayersArtifacts } from "../formats/tfjs-layers.ts"
import { enginesFor } from "./choose.ts"
import { type Engine, EngineLost, type EngineReport, EngineUnfit } from "./engine.ts"
import { type LoadedModel, openLayersModel } from "./layers-model.ts"
import type { Call, LoadReply, LoadRequest, PredictReply, Reply } from "./messages.ts"

// Libraries chat; stdout is the caller's data. (Reading a worker's streams in the main thread would keep it from ever
// ending, so the words stop here.)
for (const method of ["debug", "error", "info", "log", "warn"] as const) console[method] = () => undefined

let model: LoadedModel | null = null
let line: Promise<void> = Promise.resolve() // one at a time: a device shared by two batches serves neither faster

parentPort?.on("message", (call: Call) => {
  line = line.then(() => answer(call))
})

/** Part of every Node, but declared only in the DOM's types. */
declare const WebAssembly: { readonly RuntimeError: new () => Error }

async function answer({ id, request }: Call): Promise<void> {
  try {
    if (request.kind === "load") return send({ id, value: await load(request) })
    const value = await predict(request.inputs)
    send(
      { id, value },
      value.map(({ data }) => data.buffer),
    )
  } catch (error) {
    send({ id, error: request.kind === "load" ? reportError(error, "MODEL_REFUSED") : predictFailure(error) })
    if (isLost(error)) throw error // ends the thread
  }
}

// The model answered a rehearsal, so it is this input (say, a word outside the vocabulary), unless memory ran out.
function predictFailure(error: unknown): ErrorReport {
  const outOfMemory = error instanceof RangeError || error instanceof EngineUnfit || isLost(error)
  return reportError(error, outOfMemory ? "UNAVAILABLE" : "INPUT_INVALID")
}

// After an abort inside WebAssembly its memory is as unknown as after a full one.
function isLost(error: unknown): boolean {
  return error instanceof EngineLost || error instanceof WebAssembly.RuntimeError
}

function send(reply: Reply, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(reply, transfer)
}

async function load({ device, format, entrypoint, files }: LoadRequest): Promise<LoadReply> {
  const artifacts = openFormat(format, entrypoint, new Map(files.map(({ name, bytes }) => [name, bytes])))
  const passedOver: { name: string; why: string }[] = []
  for (const entry of enginesFor(device)) {
    const outcome = await tryEngine(await entry.load(), artifacts)
    if ("why" in outcome) passedOver.push({ name: entry.name, why: outcome.why })
    else {
      model = outcome.model
      const engine = { name: entry.name, device: entry.device, detail: outcome.detail, passedOver }
      return { engine, inputs: model.inputs, outputs: model.outputs }
    }
  }
  throw new RuntimeError("DEVICE_UNAVAILABLE", `device ${device}: ${listReasons(passedOver)}`)
}

async function tryEngine(
  engine: Engine,
  artifacts: LayersArtifacts,
): Promise<{ why: string } | { model: LoadedModel; detail: string }> {
  const opened = await engine.open()
  if (!opened.available) return { why: opened.why }
  try {
    return { model: await openLayersModel(opened, artifacts), detail: opened.detail }
  } catch (error) {
    if (isUnfit(error)) return { why: messageOf(error) }
    throw error
  }
}

// Also what tfjs and libtensorflow say of a model that is fine on an engine that lacks an operation.
function isUnfit(error: unknown): boolean {
  if (error instanceof EngineUnfit || error instanceof EngineLost) return true
  return /^Kernel '.*' not registered for backend|Op type not registered/.test(messageOf(error))
}

function predict(inputs: Parameters<LoadedModel["predict"]>[0]): Promise<PredictReply> {
  if (!model) throw new RuntimeError("UNAVAILABLE", "no model is loaded")
  return model.predict(inputs)
}

function listReasons(passedOver: EngineReport["passedOver"]): string {
  return passedOver.map(({ name, why }) => `${name}: ${why}`).join("; ")
}
