/** `weighlock serve`: verified models behind TF Serving's REST interface. */
import { parseFixedReference } from "@weighlock/manifest"
import type { EngineReport } from "@weighlock/runtime"
import type { Command } from "commander"
import {
  type CommonFlags,
  type ConnectionFlags,
  connection,
  type Context,
  openClient,
  openContext,
} from "../context.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import { parseSeconds } from "../settings.ts"

interface ServeFlags extends CommonFlags, ConnectionFlags {
  readonly host: string
  readonly port: string
  readonly device: string
  readonly maxRows: string
  readonly predictTimeout: string
}

export function serveCommand(program: Command, io: Io): void {
  connection(program.command("serve <reference...>"))
    .description("fetch, verify, load and serve models: [NAME=]REF …")
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 takes a free one", "8501")
    .option("--device <device>", "auto, gpu, cpu, or an engine's name", "auto")
    .option("--max-rows <n>", "rows that one question may have", "16384")
    .option("--predict-timeout <time>", "time that one question may take: seconds, or 30s, 5m", "30s")
    .action(async (references: string[], flags: ServeFlags) => serve(await openContext(io, flags), references, flags))
}

async function serve(context: Context, references: readonly string[], flags: ServeFlags): Promise<void> {
  const wanted = namedReferences(references)
  const port = portOf(flags.port)
  const maxRows = countOf("--max-rows", flags.maxRows)
  const predictTimeout = timeoutOf("--predict-timeout", flags.predictTimeout)
  const { loadModel, serveModels } = await import("@weighlock/runtime")
  const models: { name: string; model: Awaited<ReturnType<typeof loadModel>> }[] = []
  try {
    for (const [name, reference] of wanted) {
      const options = await openClient(context, flags, reference)
      const model = await loadModel(reference, { ...options, device: flags.device, predictTimeout })
      models.push({ name, model })
      void model.failed.then(() => context.io.onStuck?.())
    }
    context.progress.end()
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
  const described = models.map(({ name, model: { manifest, engine } }) => ({
    name,
    model: manifest.model,
    version: manifest.version,
    manifest: `sha256:${manifest.digest}`,
    engine: engine.name,
    device: engine.device,
    passedOver: engine.passedOver,
    rehearsal: engine.rehearsal,
    golden: engine.golden,
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

/** NAME defaults to the last segment of the model; a clash is USAGE. */
function namedReferences(references: readonly string[]): Map<string, string> {
  const named = new Map<string, string>()
  for (const text of references) {
    const cut = text.indexOf("=")
    const reference = text.slice(cut + 1)
    const name = cut < 0 ? (parseFixedReference(reference).model.split("/")[1] ?? "") : text.slice(0, cut)
    parseFixedReference(reference)
    if (named.has(name))
      throw usage(`two models would be served as ${JSON.stringify(name)}`, `name them: ${name}-a=${reference}`)
    named.set(name, reference)
  }
  return named
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
