/**
 * The first engine of `--device` that runs a model, and answers right.
 *
 *     auto    tfjs-node-gpu: not installed; wasm: wrong for layer up (Conv3DTranspose); js: it is
 *     wasm    MODEL_REFUSED, with the same reason: nobody asked for another
 */
import { messageOf, refused, RuntimeError } from "../errors.ts"
import { openFormat } from "../formats/format.ts"
import type { LayersArtifacts } from "../formats/tfjs-layers.ts"
import { checkGolden } from "../golden/golden-check.ts"
import { type GoldenExample, looseTolerance, openGolden } from "../golden/golden-example.ts"
import { splitGolden } from "../golden/golden-files.ts"
import { enginesFor } from "./choose.ts"
import {
  type Engine,
  EngineLost,
  type EngineReport,
  EngineUnfit,
  EngineWrong,
  type GoldenReport,
  type PassedOver,
} from "./engine.ts"
import { type LoadedModel, openLayersModel } from "./layers-model.ts"
import type { LoadRequest } from "./messages.ts"

export interface SelectedEngine {
  readonly model: LoadedModel
  readonly report: EngineReport
}

/** Throws MODEL_REFUSED, DEVICE_UNAVAILABLE, or the library's own words. */
export async function selectEngine({ device, format, entrypoint, files }: LoadRequest): Promise<SelectedEngine> {
  const split = splitGolden(new Map(files.map(({ name, bytes }) => [name, bytes])))
  const golden = split.golden && openGolden(split.golden)
  const artifacts = openFormat(format, entrypoint, split.model)
  const passedOver: Rejected[] = []
  for (const entry of enginesFor(device)) {
    const outcome = await tryEngine(await entry.load(), artifacts, golden)
    if ("why" in outcome) passedOver.push({ ...outcome, name: entry.name })
    else return { model: outcome.model, report: reportOf(entry, outcome.detail, passedOver, golden) }
  }
  throw noEngine(device, passedOver)
}

/** `wrong` when the engine is here and would answer, but not right. */
type Rejected = PassedOver & { readonly wrong: boolean }

function reportOf(
  { name, device }: Pick<EngineReport, "name" | "device">,
  detail: string,
  rejected: readonly Rejected[],
  golden: GoldenExample | null,
): EngineReport {
  const passedOver = rejected.map(({ name, why }) => ({ name, why }))
  return { name, device, detail, passedOver, golden: golden && reportGolden(golden) }
}

function reportGolden({ instances, tolerance }: GoldenExample): GoldenReport {
  return { instances: instances.length, tolerance, loose: tolerance > looseTolerance }
}

function noEngine(device: string, rejected: readonly Rejected[]): RuntimeError {
  const reasons = rejected.map(({ name, why }) => `${name}: ${why}`).join("; ")
  if (rejected.some(({ wrong }) => wrong)) return refused(`no engine of --device ${device} answers right: ${reasons}`)
  return new RuntimeError("DEVICE_UNAVAILABLE", `device ${device}: ${reasons}`)
}

async function tryEngine(
  engine: Engine,
  artifacts: LayersArtifacts,
  golden: GoldenExample | null,
): Promise<Omit<Rejected, "name"> | { model: LoadedModel; detail: string }> {
  const opened = await engine.open()
  if (!opened.available) return { why: opened.why, wrong: false }
  try {
    const model = await openLayersModel(opened, artifacts)
    if (golden) await checkGolden(model, golden)
    return { model, detail: opened.detail }
  } catch (error) {
    opened.tf.disposeVariables()
    const wrong = error instanceof EngineWrong
    if (wrong || isUnfit(error)) return { why: messageOf(error), wrong }
    throw error
  }
}

// Also what tfjs and libtensorflow say of a model that is fine on an engine that lacks an operation.
function isUnfit(error: unknown): boolean {
  if (error instanceof EngineUnfit || error instanceof EngineLost) return true
  return /^Kernel '.*' not registered for backend|Op type not registered/.test(messageOf(error))
}
