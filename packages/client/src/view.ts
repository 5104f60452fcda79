/** How old is what a manifest was verified against, and by whose clock? */
import { ManifestError, type VerifiedManifest } from "@weighlock/manifest"

/**
 * A verified view of the log, as far as it concerns one version.
 *
 *     {from: "registry", asOf: 2026-11-30T12:00:00Z, clock: "witnesses"}   asked now; a quorum saw that state then, or later
 *     {from: "kept", asOf: 2026-11-30T12:00:00Z, clock: "local"}           no witnesses: when this machine last asked
 *     {from: "bundle", asOf: null, clock: null}                            nobody says
 */
export interface View {
  /** Who gave it: the registry now, what this machine kept (kept-views.ts), or a bundle in a file. */
  readonly from: "registry" | "kept" | "bundle"
  readonly asOf: Date | null
  /** Whose clock says so: those of a quorum of witnesses, or this machine's own. */
  readonly clock: "witnesses" | "local" | null
  /** Of a kept view: why the registry was not asked or could not answer. */
  readonly because?: string
  /** Why this view could not be kept for a day without a registry. */
  readonly notKept?: string
}

/** `verifiedAt`: when this machine verified it from the registry; `null` where it never has. */
export function viewOf({ freshness }: VerifiedManifest, from: View["from"], verifiedAt: Date | null): View {
  if (freshness !== null) return { from, asOf: freshness, clock: "witnesses" }
  return { from, asOf: verifiedAt, clock: verifiedAt === null ? null : "local" }
}

/** Seconds that a clock may have been set back. */
const clockSkew = 300

/** `maxStaleness`: seconds, `null` asks for nothing. Throws STALE; also for a date to come, which would look new for ever. */
export function requireRecent(verifiedAt: Date, maxStaleness: number | null, now: Date): void {
  if (maxStaleness === null) return
  const age = (now.getTime() - verifiedAt.getTime()) / 1000
  if (age >= -clockSkew && age <= maxStaleness) return
  const when =
    age < 0
      ? `is dated ${Math.floor(-age)} s ahead of this machine's clock`
      : `was last verified from the registry ${Math.floor(age)} s ago by this machine's clock, more than the ${maxStaleness} s allowed`
  throw new ManifestError("STALE", `the kept view ${when}`, {
    hint: "it is renewed whenever the registry answers; --max-staleness sets what you accept",
  })
}
