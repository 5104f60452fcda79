/**
 * `weighlock monitor [URL|FOLDER]`: reads what is added to a log, and tells its user what concerns him.
 *
 *     weighlock monitor --own "acme/*" --known alice --exec /usr/local/bin/page-me
 *
 * With neither --exec nor --webhook, alerts go to stdout, one JSON document a line. What could not be delivered is
 * delivered by the next run: the cursor does not move past it.
 */
import { join } from "node:path"
import type { MonitorOptions } from "@weighlock/client"
import type { Command } from "commander"
import type { Delivery } from "../alert-delivery.ts"
import { collect, type CommonFlags, connection, type Context, openContext } from "../context.ts"
import { counted } from "../describe.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import type { SourceFlags } from "../log-source.ts"
import { printable } from "../output.ts"
import { parseSeconds } from "../settings.ts"

interface MonitorFlags extends CommonFlags, SourceFlags {
  readonly own: readonly string[]
  readonly known: readonly string[]
  readonly exec?: string
  readonly webhook?: string
  readonly cursor?: string
  readonly once?: boolean
  readonly interval: string
}

export function monitorCommand(program: Command, io: Io): void {
  connection(program.command("monitor [url|folder]"))
    .description("watch a log: unknown keys on names you own, forks, gaps, rollbacks, silence")
    .option("--own <pattern>", "names you own, such as acme/*; may be repeated", collect, [])
    .option(
      "--known <key>",
      "label or id of a key that may publish them; may be repeated (default: those that the trust root lets publish the name)",
      collect,
      [],
    )
    .option("--exec <program>", "run this for each alert, which it gets as JSON on stdin")
    .option("--webhook <url>", "POST each alert as JSON (WEIGHLOCK_WEBHOOK)")
    .option("--cursor <file>", "how far it has read (default: below WEIGHLOCK_HOME)")
    .option("--once", "read what there is, and end")
    .option("--interval <time>", "pause between two looks", "60s")
    .option("--mirror", "the URL is a copy of an export on a web server, not a registry")
    .action(async (place: string | undefined, flags: MonitorFlags) => watch(await openContext(io, flags), place, flags))
}

async function watch(context: Context, place: string | undefined, flags: MonitorFlags): Promise<void> {
  const { monitor, monitorOnce } = await import("@weighlock/client")
  const { explained } = await import("../log-source.ts")
  const interval = 1000 * parseSeconds(flags.interval)
  if (interval === 0) throw usage("an interval of 0 would ask without a pause", "write --interval 10s")
  const options = await optionsOf(context, place, flags)
  if (flags.once === true) {
    const report = await monitorOnce(options).catch((error: unknown) => {
      throw explained(error, options.source)
    })
    context.progress.end()
    finish(context, flags, { ...report, cursor: options.cursor })
    return
  }
  announce(context, flags, options)
  await monitor({
    ...options,
    interval,
    onRun: () => context.progress.end(),
    onTrouble: (error) => trouble(context, error),
  })
}

async function optionsOf(context: Context, place: string | undefined, flags: MonitorFlags): Promise<MonitorOptions> {
  const { settings, path, io, progress } = context
  const { deliveryOf } = await import("../alert-delivery.ts")
  const { sourceOf } = await import("../log-source.ts")
  const trust = settings.trust(flags)
  const { pin, root } = await pinOf(trust)
  const keys = flags.known.map((text) => keyOf(root, text))
  const maxStaleness = settings.maxStaleness(flags, "registry")
  const deliver: Delivery = await deliveryOf(io, flags)
  return {
    source: await sourceOf(context, place, flags),
    trust,
    cursor: flags.cursor === undefined ? join(settings.home, "monitor", `${pin}.json`) : path(flags.cursor),
    owned: await patternsOf(flags.own),
    ...(keys.length === 0 ? {} : { keys }),
    signal: io.signal,
    onProgress: progress.update,
    deliver: async (alert) => {
      progress.end()
      await deliver(alert)
    },
    ...(maxStaleness === null ? {} : { maxStaleness }),
  }
}

type Root = import("@weighlock/manifest").TrustRoot | null

async function pinOf(trust: string): Promise<{ pin: string; root: Root }> {
  const { readTrust } = await import("@weighlock/client")
  const chain = await readTrust(trust)
  if (chain === null) return { pin: trust.slice("sha256:".length), root: null }
  return { pin: chain.roots[0]?.digest ?? chain.current.digest, root: chain.current }
}

async function patternsOf(texts: readonly string[]): Promise<readonly string[]> {
  const { isPattern } = await import("@weighlock/manifest")
  const odd = texts.find((text) => !isPattern(text))
  if (odd === undefined) return texts
  throw usage(`${JSON.stringify(odd)} is not a pattern of model names`, "write acme/*, acme/fraud*, or acme/mnist")
}

function keyOf(root: Root, text: string): string {
  if (/^[0-9a-f]{64}$/.test(text)) return text
  const found = [...(root?.keys ?? [])].filter(([, { label }]) => label === text).map(([keyid]) => keyid)
  if (found[0] !== undefined && found.length === 1) return found[0]
  throw usage(
    `${JSON.stringify(text)} is ${found.length === 0 ? "no" : "more than one"} key of the trust root`,
    "weighlock trust show lists the keys; give the label or the id of one",
  )
}

function announce({ io, out }: Context, { json }: MonitorFlags, { cursor, source }: MonitorOptions): void {
  const where = source.kind === "folder" ? source.path : source.url
  if (json === true) io.stdout.write(`${JSON.stringify({ schemaVersion: 1, pid: process.pid, cursor })}\n`)
  else out.note(`monitoring ${where} (pid ${process.pid}, cursor ${cursor})`)
}

function finish(
  { io, out }: Context,
  { json }: MonitorFlags,
  report: { from: number; to: number; alerts: number; cursor: string },
): void {
  const { from, to, alerts } = report
  if (json === true) io.stdout.write(`${JSON.stringify({ schemaVersion: 1, ...report })}\n`)
  else out.note(`${from === to ? "nothing new" : `read entries ${from} to ${to - 1}`}: ${counted(alerts, "alert")}`)
}

/** Said, and tried again. */
function trouble({ io, out, progress }: Context, error: unknown): void {
  progress.end()
  if (io.signal.aborted) return
  const { code = "INTERNAL", message } = error as { code?: string; message: string }
  out.warn(`${code}: ${printable(message)}; trying again`)
}
