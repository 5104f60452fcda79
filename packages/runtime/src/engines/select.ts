/**
 * The first engine of `--device` that runs a model, and answers right.
 *
 *     auto    tfjs-node-gpu: not installed; wasm: wrong for layer up (MaxPooling3D); js: it is
 *     wasm    MODEL_REFUSED, with the same reason: nobody asked for another
 */
import { messageOf, refused, RuntimeError } from "../errors.ts"
import { type Artifacts, openFormat } from "../formats/format.ts"
import { checkGolden } from "../golden/golden-check.ts"
import { type GoldenExample, looseTolerance, openGolden } from "../golden/golden-example.ts"
import { splitGolden } from "../golden/golden-files.ts"
import { enginesFor } from "./choose.ts"
import { type Engine, EngineLost, EngineUnfit, EngineWrong, type LoadedModel } from "./engine.ts"
import { isAboutMemory } from "./lost-memory.ts"
import type { EngineReport, GoldenReport, PassedOver } from "./report.ts"
import type { LoadRequest, LoadStage } from "./messages.ts"

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
  const hints: string[] = []
  for (const engine of enginesFor(device, format)) {
    onStage("engine")
    const outcome = await tryEngine(engine, { artifacts, golden, started, onStage })
    if ("model" in outcome) return { model: outcome.model, report: reportOf(engine, outcome, passedOver, golden) }
    const { hint, why, wrong } = outcome
    passedOver.push({ name: engine.name, why, wrong })
    if (hint !== undefined) hints.push(hint)
  }
  throw noEngine(device, passedOver, hints.at(-1))
}

interface Trial {
  readonly artifacts: Artifacts
  readonly golden: GoldenExample | null
  /** When the load began. */
  readonly started: number
  readonly onStage: (stage: LoadStage) => void
}

type Rejected = Omit<PassedOver, "name"> & { readonly hint?: string }

interface Accepted {
  readonly model: LoadedModel
  readonly detail: string
  readonly software: boolean
}

function reportOf(
  { name, device }: Pick<EngineReport, "name" | "device">,
  { model, detail, software }: Accepted,
  passedOver: readonly PassedOver[],
  golden: GoldenExample | null,
): EngineReport {
  const { rehearsal } = model
  return { name, device, software, detail, passedOver, rehearsal, golden: golden && reportGolden(golden) }
}

function reportGolden({ instances, tolerance }: GoldenExample): GoldenReport {
  return { instances: instances.length, tolerance, loose: tolerance > looseTolerance }
}

function noEngine(device: string, passedOver: readonly PassedOver[], hint: string | undefined): RuntimeError {
  const reasons = passedOver.map(({ name, why }) => `${name}: ${why}`).join("; ")
  if (passedOver.some(({ wrong }) => wrong)) return refused(`no engine of --device ${device} answers right: ${reasons}`)
  return new RuntimeError("DEVICE_UNAVAILABLE", `device ${device}: ${reasons}`, hint === undefined ? {} : { hint })
}

async function tryEngine(engine: Engine, { artifacts, golden, started, onStage }: Trial): Promise<Rejected | Accepted> {
  const opened = await engine.open()
  if (!opened.available) return { ...opened, wrong: false }
  try {
    const model = await opened.load(artifacts, { started })
    if (golden) {
      onStage("golden")
      await checkGolden(model, golden)
    }
    return { model, detail: opened.detail, software: opened.software }
  } catch (error) {
    await opened.dispose()
    const wrong = error instanceof EngineWrong
    const unfit = error instanceof EngineUnfit || error instanceof EngineLost
    if (wrong || unfit) return { why: messageOf(error), wrong }
    if (isAboutMemory(error)) return { why: "it has no memory for this model", wrong }
    throw error
  }
}
