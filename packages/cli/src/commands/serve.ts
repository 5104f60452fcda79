/** `weighlock serve`: verified models behind TF Serving's REST interface. */
import { isAbsolute } from "node:path"
import { parseFixedReference } from "@weighlock/manifest"
import type { EngineReport } from "@weighlock/runtime"
import type { Command } from "commander"
import {
  collect,
  type CommonFlags,
  type ConnectionFlags,
  type Context,
  keeping,
  openClient,
  openContext,
} from "../context.ts"
import { reportView, viewJson } from "../describe.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import { parseSeconds } from "../settings.ts"

interface ServeFlags extends CommonFlags, ConnectionFlags {
  readonly host: string
  readonly port: string
  readonly device: string
  /** One for each folder, in order. */
  readonly bundle: readonly string[]
  readonly maxRows: string
  readonly predictTimeout: string
}

export function serveCommand(program: Command, io: Io): void {
  keeping(program.command("serve <reference...>"))
    .description("fetch, verify, load and serve models: [NAME=]REF …, or [NAME=]FOLDER … with a --bundle each")
    .option("--bundle <file>", "what pull --receipt wrote of a folder; one for each, in order", collect, [])
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 takes a free one", "8501")
    .option("--device <device>", "auto, gpu, cpu, or an engine's name", "auto")
    .option("--max-rows <n>", "rows that one question may have", "16384")
    .option("--predict-timeout <time>", "time that one question may take: seconds, or 30s, 5m", "30s")
    .action(async (references: string[], flags: ServeFlags) => serve(await openContext(io, flags), references, flags))
}

async function serve(context: Context, references: readonly string[], flags: ServeFlags): Promise<void> {
  const wanted = wantedModels(references, flags.bundle.map(context.path))
  const port = portOf(flags.port)
  const maxRows = countOf("--max-rows", flags.maxRows)
  const predictTimeout = timeoutOf("--predict-timeout", flags.predictTimeout)
  const { loadModel, serveModels } = await import("@weighlock/runtime")
  const models: { name: string; model: Awaited<ReturnType<typeof loadModel>> }[] = []
  try {
    for (const { reference, bundle, ...named } of wanted) {
      const options = await openClient(context, flags, bundle === undefined ? reference : undefined)
      const from = bundle === undefined ? {} : { bundle }
      const place = bundle === undefined ? reference : context.path(reference)
      const model = await loadModel(place, { ...options, ...from, device: flags.device, predictTimeout })
      const name = named.name ?? lastSegment(model.manifest.model)
      models.push({ name, model })
      void model.failed.then(() => context.io.onStuck?.())
    }
    requireDistinct(models.map(({ name, model }) => [name, model.manifest.model]))
    context.progress.end()
    for (const { model } of models) reportView(context.out, model.view)
    const serving = await serveModels(models, { host: flags.host, port, maxRows, predictTimeout })
    announce(context, serving.url, models)
    const failure = await Promise.race([untilAborted(context.io.signal), serving.failed])
    await serving.close()
    if (failure) throw failure
  } finally {
    await Promise.all(models.map(({ model }) => model.dispose()))
  }
}

function announce(
  { out }: Context,
  url: string,
  models: readonly { name: string; model: import("@weighlock/runtime").Model }[],
): void {
  const described = models.map(({ name, model: { manifest, engine, view } }) => ({
    name,
    model: manifest.model,
    version: manifest.version,
    manifest: `sha256:${manifest.digest}`,
    engine: engine.name,
    device: engine.device,
    software: engine.software,
    passedOver: engine.passedOver,
    rehearsal: engine.rehearsal,
    golden: engine.golden,
    view: viewJson(view),
  }))
  out.result({
    json: { url, pid: process.pid, models: described },
    text: [
      `serving at ${url} (pid ${process.pid})`,
      ...described.flatMap(({ name, model, version, manifest, engine, device, passedOver, golden }) => [
        `  ${name} = ${model}@${version}  ${manifest}  on ${engine} (${device})${goldenText(golden)}`,
        ...passedOver.filter(({ wrong }) => wrong).map((other) => `    passed over ${other.name}: ${other.why}`),
      ]),
    ].join("\n"),
  })
}

function goldenText(golden: EngineReport["golden"]): string {
  if (golden === null) return ""
  return `, golden example right${golden.loose ? ` (loose: tolerance ${golden.tolerance})` : ""}`
}

interface Wanted {
  /** Absent: it is the last segment of the model, which for a folder only the bundle tells. */
  readonly name?: string
  /** A reference, or the path of a folder. */
  readonly reference: string
  readonly bundle?: string
}

/** Throws USAGE for a name that is given twice, or unless each folder has a bundle. */
function wantedModels(texts: readonly string[], bundles: readonly string[]): Wanted[] {
  const left = [...bundles]
  const wanted = texts.map((text) => {
    const cut = text.indexOf("=")
    const reference = text.slice(cut + 1)
    const named = cut < 0 ? {} : { name: text.slice(0, cut) }
    if (!isFolder(reference, bundles.length > 0)) {
      const { model } = parseFixedReference(reference)
      return { name: lastSegment(model), ...named, reference }
    }
    const bundle = left.shift()
    if (bundle === undefined)
      throw usage(
        `${reference} is a folder, and nothing says what was signed`,
        "give its --bundle FILE, from pull --receipt",
      )
    return { ...named, reference, bundle }
  })
  if (left.length > 0) throw usage(`--bundle ${left[0]} belongs to no folder`, "give one for each folder, in order")
  requireDistinct(wanted.flatMap(({ name, reference }) => (name === undefined ? [] : [[name, reference]])))
  return wanted
}

/** A reference has a version or a digest, and begins with a letter or a digit; `model` alone is a folder if there is a bundle. */
function isFolder(text: string, hasBundles: boolean): boolean {
  return /^\.{0,2}[/\\]|^\.{1,2}$/.test(text) || isAbsolute(text) || (hasBundles && !/[@:]/.test(text))
}

function requireDistinct(named: readonly (readonly string[])[]): void {
  const seen = new Set<string>()
  for (const [name = "", from = ""] of named) {
    if (seen.has(name))
      throw usage(`two models would be served as ${JSON.stringify(name)}`, `name them: ${name}-a=${from}`)
    seen.add(name)
  }
}

function lastSegment(model: string): string {
  return model.split("/")[1] ?? ""
}

function countOf(flag: string, text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw usage(`${flag} ${JSON.stringify(text)} is not a whole number from 1`)
  return Number(text)
}

/** In milliseconds. What a timer of Node cannot hold would run out at once. */
function timeoutOf(flag: string, text: string): number {
  const milliseconds = 1000 * parseSeconds(text)
  if (milliseconds < 1 || milliseconds >= 2 ** 31)
    throw usage(`${flag} ${JSON.stringify(text)} is not a time from 1s to 24d`)
  return milliseconds
}

export function portOf(text: string): number {
  const port = Number(text)
  if (!/^(?:0|[1-9]\d{0,4})$/.test(text) || port > 65_535) throw usage(`${JSON.stringify(text)} is not a port`)
  return port
}

export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener("abort", () => resolve(), { once: true })
  })
}
