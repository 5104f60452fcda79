/** Who may publish where: the question that `verify`, the registry and the replay of a history ask in the same words. */
import { ManifestError } from "./errors.ts"
import { formatTime } from "./time.ts"
import { namespaceOf, type TrustRoot } from "./trust.ts"
import { countDistinct, type TrustChain } from "./trust-chain.ts"

/** The newest root, unless it has expired: TRUST_EXPIRED. */
export function trustInForce({ current }: TrustChain, now: Date): TrustRoot {
  requireUnexpired(current, now)
  return current
}

/** Throws TRUST_EXPIRED, with both times: a clock that is wrong looks the same. */
export function requireUnexpired({ expires, registry }: TrustRoot, now: Date): void {
  if (expires.getTime() > now.getTime()) return
  throw new ManifestError(
    "TRUST_EXPIRED",
    `the trust root of ${registry} expired at ${formatTime(expires)}; the clock says ${formatTime(now)}`,
    { hint: "get the next version from whoever keeps its root keys; if that clock is wrong, set it" },
  )
}

/**
 * Whether a signature by that key may count. A retired key counts for entries of the log as it was at `retiredAt`. A first
 * trust root cannot name such a state: every entry's root commits to the genesis, which names the trust root's digest.
 * So in a first root, the only kind that this version judges by, a retired key counts for nothing.
 */
export function counts(trust: TrustRoot, keyid: string): boolean {
  const trusted = trust.keys.get(keyid)
  return trusted !== undefined && trusted.compromised === undefined && trusted.retiredAt === undefined
}

/** The keyids that count, of those whose signature holds. SIGNER_UNTRUSTED when they are too few for the model. */
export function requirePublishers(trust: TrustRoot, model: string, valid: Iterable<string>): readonly string[] {
  const namespace = namespaceOf(trust, model)
  if (namespace === null) throw untrusted(`no namespace of the trust root covers ${model}, so no one may publish it`)
  const { publish, pattern } = namespace
  const counting = [...valid].filter((keyid) => counts(trust, keyid) && publish.keys.includes(keyid))
  const count = countDistinct(publish, counting)
  if (count >= publish.threshold) return counting
  throw untrusted(
    `${model} needs ${publish.threshold} publisher signature(s) of ${pattern}, this manifest has ${count}`,
  )
}

export function untrusted(message: string): ManifestError {
  return new ManifestError("SIGNER_UNTRUSTED", message, { hint: "weighlock trust show lists who may do what" })
}
