/** How a manifest, its entry in the log and a state of the log appear in what commands print. */
import type { LogHead, View } from "@weighlock/client"
import { encodeBase64, formatTime, type Manifest, type TrustRoot, type VerifiedManifest } from "@weighlock/manifest"
import type { Checkpoint } from "@weighlock/tlog"
import type { Output } from "./output.ts"

export function nameOf({ model, version, digest }: Manifest): string {
  return `${model}@${version}  sha256:${digest}`
}

/** The members that every `--json` document about a version has. */
export function summary({
  registry,
  model,
  version,
  digest,
  format,
  entrypoint,
  resources,
}: Manifest): Record<string, unknown> {
  return {
    registry,
    model,
    version,
    manifest: `sha256:${digest}`,
    format,
    entrypoint,
    files: resources.length,
    bytes: resources.reduce((sum, { size }) => sum + size, 0),
  }
}

/** The members that a `--json` document about something verified has besides. */
export function logged({ index, loggedAt, freshness }: VerifiedManifest): Record<string, unknown> {
  return {
    verified: true,
    logged: true,
    index,
    loggedAt: instant(loggedAt),
    freshness: freshness === null ? null : instant(freshness),
  }
}

/** `index 7 at 2026-11-23T12:00:00Z` */
export function placeOf({ index, loggedAt }: Pick<VerifiedManifest, "index" | "loggedAt">): string {
  return `index ${index} at ${instant(loggedAt)}`
}

/** What a registry's clock said may lie beyond the years we can write. */
export function instant(time: Date): string {
  return time.getUTCFullYear() <= 9999 ? formatTime(time) : "a time beyond the year 9999"
}

/** `1042 entries, root nND/nri/U0x…` */
export function stateOf({ size, root }: Checkpoint): string {
  return `${counted(size, "entry", "entries")}, root ${encodeBase64(root)}`
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`
}

/** `1042000` → `1,042,000`. By hand: the first use of ICU costs a command 12 ms. */
export function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ",")
}

/** What witnesses say of a state of the log, in a few words. */
export function witnessed({ cosignatures, quorum, freshness }: Omit<LogHead, "note">): string {
  if (quorum && freshness === null) return "none asked for, so nothing bounds how old this view is"
  const names = cosignatures.map(({ name }) => name).join(", ")
  if (!quorum) return `too few have confirmed it${names === "" ? "" : `: ${names}`}`
  return `${names}${freshness === null ? "" : `, at ${instant(freshness)} or later`}`
}

/** A key's label in the trust root, else the beginning of its id. */
export function keyName(root: TrustRoot | undefined, keyid: string): string {
  return root?.keys.get(keyid)?.label ?? `${keyid.slice(0, 12)}…`
}

/** For `--json`: the label of each key, `null` for one that the trust root does not name, or where only its pin is known. */
export function labelsOf(root: TrustRoot | undefined, keyids: readonly string[]): (string | null)[] {
  return keyids.map((keyid) => root?.keys.get(keyid)?.label ?? null)
}

/** Says it where the registry has not just been asked, and where a view could not be kept. */
export function reportView(out: Output, view: View): void {
  if (view.from === "kept")
    out.note(`not from the registry (${view.because}), but as verified here before: ${ageOf(view)}`)
  if (view.from === "bundle") out.note(`by its bundle, without asking the registry: ${ageOf(view)}`)
  if (view.notKept !== undefined) out.warn(`without a registry this version will not start here: ${view.notKept}`)
}

function ageOf({ asOf, clock }: View): string {
  if (asOf === null) return "no witnesses, so nothing says how old that view of the log is"
  const age = `${instant(asOf)}, ${durationOf((Date.now() - asOf.getTime()) / 1000)} ago`
  return clock === "witnesses"
    ? `witnesses confirmed that view of the log at ${age}`
    : `no witnesses; this machine last verified it from the registry at ${age}, by its own clock`
}

/** `90 s`, `15 min`, `7 h`, `3 d`: rounded down. */
function durationOf(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  if (whole < 120) return `${whole} s`
  if (whole < 7200) return `${Math.floor(whole / 60)} min`
  return whole < 172_800 ? `${Math.floor(whole / 3600)} h` : `${Math.floor(whole / 86_400)} d`
}

/** For `--json`. */
export function viewJson({ asOf, ...view }: View): Record<string, unknown> {
  return { ...view, asOf: asOf === null ? null : instant(asOf) }
}

/** What no file can show by itself. */
export function offlineNote({ size }: Checkpoint): string {
  return `offline: the log was not asked whether it still has this history of ${counted(size, "entry", "entries")}`
}
