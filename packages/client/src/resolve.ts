/**
 * From a reference to a verified manifest: ask, then believe only what `verify` returns, and remember what was seen of the
 * log before anyone uses it.
 */
import {
  type Bundle,
  checkpointOf,
  type FixedReference,
  limits,
  parseBundle,
  verify,
  type VerifiedManifest,
} from "@weighlock/manifest"
import { parseProof } from "@weighlock/tlog"
import { requireOurGenesis } from "./genesis.ts"
import { proveGrowth } from "./growth.ts"
import { bundlePath, type Session } from "./session.ts"

export interface Resolved {
  readonly manifest: VerifiedManifest
  readonly bundle: Bundle
}

/** Throws NOT_FOUND, UNAVAILABLE … and every code of `verify`. */
export async function resolve(session: Session, reference: FixedReference): Promise<Resolved> {
  const { body } = await session.transport.call(bundlePath(reference), {
    what: nameOf(reference),
    method: "GET",
    limit: limits.bundle,
  })
  return await admit(session, reference, parseBundle(body))
}

function nameOf({ model, selector }: FixedReference): string {
  return `${model}@${selector.by === "version" ? selector.version : `sha256:${selector.digest}`}`
}

/**
 * Verifies a bundle against what this machine has seen of the log, and saves what it has seen now. Throws what `verify`
 * throws; LOG_INVALID and ROLLBACK with evidence; STATE_UNUSABLE and STATE_DAMAGED.
 */
export async function admit(session: Session, reference: FixedReference, bundle: Bundle): Promise<Resolved> {
  const { trustChain, maxStaleness } = session
  const claimed = { checkpoint: checkpointOf(bundle, trustChain), note: parseProof(bundle.proof ?? "").checkpoint }
  const seen = await session.seen.read()
  const consistency = await proveGrowth(session, seen, claimed)
  const manifest = verify({
    reference,
    bundle,
    trustChain,
    seen: seen.checkpoint,
    consistency,
    maxStaleness,
    now: new Date(),
  })
  const shown = { checkpoint: manifest.checkpoint, note: manifest.checkpointNote }
  if (seen.checkpoint.size === 0) await requireOurGenesis(session, shown.checkpoint)
  await session.seen.keep(shown, seen, (one, other) => proveGrowth(session, one, other))
  return { manifest, bundle }
}
