/** How old a view of the log may be: witnesses' signatures are dated, and only they say. */
import { ManifestError } from "./errors.ts"

/** Seconds that a witness's clock may be ahead of ours. */
const clockSkew = 300

/**
 * `freshness`: POSIX seconds of the newest moment that a quorum of witnesses vouches for, `null` when nobody does;
 * `maxStaleness`: seconds, `null` asks for nothing. Throws STALE, also for a date that is still to come: whoever may date
 * ahead makes an old view look new for ever.
 */
export function requireFresh(freshness: number | null, maxStaleness: number | null, now: Date): void {
  if (maxStaleness === null) return
  if (freshness === null)
    throw stale(
      "the trust root names no witnesses, so no one says how old this view of the log is",
      "leave --max-staleness out, or have witnesses named in the trust root; of what was kept here it bounds the age by this machine's clock",
    )
  const age = now.getTime() / 1000 - freshness
  if (age < -clockSkew) throw stale(`witnesses date the log ${Math.floor(-age)} s ahead of this machine's clock`)
  if (!(age <= maxStaleness)) {
    throw stale(
      `witnesses last saw this state of the log ${Math.floor(age)} s ago, more than the ${maxStaleness} s allowed`,
    )
  }
}

const askAgain = "ask the registry again, or whoever runs its witnesses; --max-staleness sets what you accept"

function stale(message: string, hint = askAgain): ManifestError {
  return new ManifestError("STALE", message, { hint })
}
