/**
 * `weighlock audit [URL|FOLDER]`: the whole history replayed, every hash, signature and rule.
 *
 *     index 412           sequence   RULE_BROKEN  seq of acme/mnist is 9, expected 8
 *     tile/entries/001    bundle     LOG_INVALID  it is not there
 *     2 findings: models.acme.example/log, 1042 entries, root nND/nri/U0x…
 */
import type { AuditReport, Finding } from "@weighlock/client"
import type { Command } from "commander"
import { type CommonFlags, connection, type Context, openContext } from "../context.ts"
import { counted, instant } from "../describe.ts"
import { Finished } from "../errors.ts"
import type { Io } from "../io.ts"
import type { SourceFlags } from "../log-source.ts"
import { printable } from "../output.ts"
import { formatBytes } from "../progress.ts"

interface AuditFlags extends CommonFlags, SourceFlags {
  readonly receipts?: string
  readonly hashOnly?: boolean
  readonly files?: boolean
  readonly live: boolean
}

export function auditCommand(program: Command, io: Io): void {
  connection(program.command("audit [url|folder]"))
    .description("replay a log: every hash, every signature, every rule; of a registry, its answers too")
    .option("--receipts <dir>", "receipts that were kept: the log must still hold what they prove")
    .option("--hash-only", "hashes only: neither signatures nor rules")
    .option("--files", "of a registry, read every file of every version, too")
    .option("--no-live", "of a registry, only its log")
    .option("--mirror", "the URL is a copy of an export on a web server, not a registry")
    .action(async (place: string | undefined, flags: AuditFlags) => audit(await openContext(io, flags), place, flags))
}

async function audit(context: Context, place: string | undefined, flags: AuditFlags): Promise<void> {
  const { audit: replayLog, auditExit } = await import("@weighlock/client")
  const { explained, sourceOf } = await import("../log-source.ts")
  const { settings, progress, io, path } = context
  const source = await sourceOf(context, place, flags)
  const maxStaleness = settings.maxStaleness(flags, source.kind === "folder" ? "kept" : "registry")
  const report = await replayLog({
    source,
    trust: settings.trust(flags),
    state: settings.home,
    hashOnly: flags.hashOnly === true,
    live: flags.live && flags.hashOnly !== true && source.kind === "registry",
    files: flags.files === true,
    ...(flags.allowStoreHost === undefined ? {} : { allowStoreHosts: flags.allowStoreHost }),
    signal: io.signal,
    onProgress: progress.update,
    ...(flags.receipts === undefined ? {} : { receipts: path(flags.receipts) }),
    ...(maxStaleness === null ? {} : { maxStaleness }),
  }).catch((error: unknown) => {
    throw explained(error, source)
  })
  progress.end()
  print(context, { ...report, findings: report.findings.toSorted(byPlace) })
  const exit = auditExit(report)
  if (exit !== 0) throw new Finished(exit)
}

/** Along the log; what is about no single entry comes last. */
function byPlace(a: Finding, b: Finding): number {
  return (a.index ?? Number.MAX_SAFE_INTEGER) - (b.index ?? Number.MAX_SAFE_INTEGER)
}

function print({ out }: Context, report: AuditReport): void {
  const { origin, size, root, entries, judged, findings, omitted } = report
  const withheld = findings.filter(({ code }) => code === "WITHHELD").length
  out.result({
    json: {
      origin,
      size,
      root,
      checkpoint: report.checkpoint,
      entries,
      judged,
      models: report.models,
      versions: report.versions,
      quorum: report.quorum,
      freshness: report.freshness === null ? null : instant(report.freshness),
      seen: report.seen,
      live: report.live,
      ...(report.files === null ? {} : { files: report.files }),
      ...(report.receipts === null ? {} : { receipts: { checked: report.receipts, withheld } }),
      findings: findings.map(({ check, index, path, code, kind, message }) => ({
        ...(index === undefined ? {} : { index }),
        ...(path === undefined ? {} : { path }),
        rule: check,
        code,
        kind,
        message,
      })),
      omitted,
      ...(report.incomplete === null ? {} : { incomplete: report.incomplete }),
      clean: isClean(report),
    },
    text: [...lines(findings), ...more(omitted), verdict(report), ...details(report)].map(printable).join("\n"),
    lines: [verdict(report)],
  })
}

function isClean({ findings, omitted }: AuditReport): boolean {
  return findings.length + omitted === 0
}

function lines(findings: readonly Finding[]): string[] {
  const widthOf = (text: (finding: Finding) => string): number =>
    Math.max(0, ...findings.map((finding) => text(finding).length))
  const [placeWidth, checkWidth, codeWidth] = [
    widthOf(placeOf),
    widthOf(({ check }) => check),
    widthOf(({ code }) => code),
  ]
  return findings.map((finding) => {
    const { check, code, message } = finding
    return `${placeOf(finding).padEnd(placeWidth)}  ${check.padEnd(checkWidth)}  ${code.padEnd(codeWidth)}  ${message}`
  })
}

/** The file too where the log's own file is the matter; of a receipt the message says enough. */
function placeOf({ index, path }: Finding): string {
  if (index === undefined) return path ?? "log"
  return path?.startsWith("tile/") === true ? `index ${index} ${path}` : `index ${index}`
}

function more(omitted: number): string[] {
  return omitted === 0 ? [] : [`… and ${counted(omitted, "more finding")}`]
}

function verdict(report: AuditReport): string {
  const { origin, size, root, findings, omitted } = report
  const state = size === null ? "no checkpoint to judge" : `${counted(size, "entry", "entries")}, root ${root}`
  const judged = isClean(report) ? "clean" : counted(findings.length + omitted, "finding")
  return `${judged}${report.incomplete === null ? "" : ", and not all was looked at"}: ${origin}, ${state}`
}

/** What was compared with what: a clean verdict says no more than this. */
function details(report: AuditReport): string[] {
  const { size, entries, judged, models, versions, quorum, freshness, seen, live, files, receipts, incomplete } = report
  const stopped = incomplete === null ? [] : [`  stopped    ${incomplete}`]
  if (size === null) return stopped
  const rows = [
    ["hashed", counted(entries, "entry", "entries")],
    [
      "replayed",
      judged === 0
        ? "nothing: neither signatures nor rules were looked at"
        : `${counted(judged, "entry", "entries")}: ${counted(versions, "version")} of ${counted(models, "model")}`,
    ],
    ["witnesses", witnesses(quorum, freshness)],
    ["seen", seenBefore(seen)],
    ["live API", live === null ? "not asked" : `${counted(live.versions, "version")} compared`],
    ["files", files === null ? "not read" : `${counted(files.count, "file")} read, ${formatBytes(files.bytes)}`],
    ...(receipts === null ? [] : [["receipts", `${receipts} checked`]]),
  ]
  return [...rows.map(([name = "", text = ""]) => `  ${name.padEnd(9)}  ${text}`), ...stopped]
}

function witnesses(quorum: boolean, freshness: Date | null): string {
  if (!quorum) return "too few have confirmed it"
  return freshness === null
    ? "none asked for, so nothing bounds how old this is"
    : `confirmed at ${instant(freshness)} or later`
}

function seenBefore({ size, consistent }: AuditReport["seen"]): string {
  if (size === 0) return "nothing of this log before"
  const before = `the ${counted(size, "entry", "entries")} seen before`
  if (consistent === null) return `could not be compared with ${before}`
  return consistent ? `consistent with ${before}` : `NOT consistent with ${before}`
}
