/**
 * The first engine of `--device` that runs a model, and answers right.
 *
 *     auto    tfjs-node-gpu: not installed; wasm: wrong for layer up (MaxPooling3D); js: it is
 *     wasm    MODEL_REFUSED, with the same reason: nobody asked for another
 */
import { messageOf, refused, RuntimeError } from "../errors.ts"
import { openFormat } from "../formats/format.ts"
import type { LayersArtifacts } from "../formats/tfjs-layers.ts"
import { checkGolden } from "../golden/golden-check.ts"
import { type GoldenExample, looseTolerance, openGolden } from "../golden/golden-example.ts"
import { splitGolden } from "../golden/golden-files.ts"
import { enginesFor } from "./choose.ts"
import { type Engine, EngineLost, EngineUnfit, EngineWrong } from "./engine.ts"
import type { EngineReport, GoldenReport, PassedOver } from "./report.ts"
import { type LoadedModel, openLayersModel } from "./layers-model.ts"
import type { LoadRequest, LoadStage } from "./messages.ts"
import { isAboutMemory } from "./our-words.ts"

export interface SelectedEngine {
  readonly model: LoadedModel
  readonly report: EngineReport
}

/** Throws MODEL_REFUSED, DEVICE_UNAVAILABLE, or the library's own words. */
export async function selectEngine(
  { device, format, entrypoint, files }: LoadRequest,
  onStage: (stage: LoadStage) => void = () => undefined,
): Promise<SelectedEngine> {
  const started = performance.now()
  const split = splitGolden(new Map(files.map(({ name, bytes }) => [name, bytes])))
  const golden = split.golden && openGolden(split.golden)
  const artifacts = openFormat(format, entrypoint, split.model)
  const passedOver: PassedOver[] = []
  for (const entry of enginesFor(device)) {
    onStage("engine")
    const outcome = await tryEngine(await entry.load(), { artifacts, golden, started, onStage })
    if ("why" in outcome) passedOver.push({ ...outcome, name: entry.name })
    else return { model: outcome.model, report: reportOf(entry, outcome, passedOver, golden) }
  }
  throw noEngine(device, passedOver)
}

interface Trial {
  readonly artifacts: LayersArtifacts
  readonly golden: GoldenExample | null
  /** When the load began. */
  readonly started: number
  readonly onStage: (stage: LoadStage) => void
}

interface Accepted {
  readonly model: LoadedModel
  readonly detail: string
  readonly rehearsal: string
}

function reportOf(
  { name, device }: Pick<EngineReport, "name" | "device">,
  { detail, rehearsal }: Accepted,
  passedOver: readonly PassedOver[],
  golden: GoldenExample | null,
): EngineReport {
  return { name, device, detail, passedOver, rehearsal, golden: golden && reportGolden(golden) }
}

function reportGolden({ instances, tolerance }: GoldenExample): GoldenReport {
  return { instances: instances.length, tolerance, loose: tolerance > looseTolerance }
}

function noEngine(device: string, passedOver: readonly PassedOver[]): RuntimeError {
  const reasons = passedOver.map(({ name, why }) => `${name}: ${why}`).join("; ")
  if (passedOver.some(({ wrong }) => wrong)) return refused(`no engine of --device ${device} answers right: ${reasons}`)
  return new RuntimeError("DEVICE_UNAVAILABLE", `device ${device}: ${reasons}`)
}

async function tryEngine(
  engine: Engine,
  { artifacts, golden, started, onStage }: Trial,
): Promise<Omit<PassedOver, "name"> | Accepted> {
  const opened = await engine.open()
  if (!opened.available) return { why: opened.why, wrong: false }
  try {
    const { model, rehearsal } = await openLayersModel(opened, artifacts, started)
    if (golden) {
      onStage("golden")
      await checkGolden(model, golden)
    }
    return { model, rehearsal, detail: opened.detail }
  } catch (error) {
    opened.tf.disposeVariables()
    const wrong = error instanceof EngineWrong
    const unfit = error instanceof EngineUnfit || error instanceof EngineLost
    if (wrong || unfit) return { why: messageOf(error), wrong }
    if (isAboutMemory(error)) return { why: "it has no memory for this model", wrong }
    throw error
  }
}
