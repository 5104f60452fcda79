/**
 * From a reference to a verified manifest: ask, then believe only what `verify` returns, and remember what was seen of the
 * log before anyone uses it. Where no registry answers, what this machine verified before may do.
 */
import {
  type Bundle,
  checkpointOf,
  type FixedReference,
  limits,
  parseBundle,
  requireFresh,
  verify,
  type VerifiedManifest,
} from "@weighlock/manifest"
import { parseProof } from "@weighlock/tlog"
import { ClientError, Unreachable } from "./errors.ts"
import { requireOurGenesis } from "./genesis.ts"
import { proveGrowth } from "./growth.ts"
import { bundlePath, type Session } from "./session.ts"
import { verifyReceipt } from "./verify-receipt.ts"
import { requireRecent, type View, viewOf } from "./view.ts"

export interface Resolved {
  readonly manifest: VerifiedManifest
  readonly bundle: Bundle
}

export interface Found extends Resolved {
  readonly view: View
}

/**
 * As `resolve`, and keeps the view. Where nobody answers at all, the view that was kept before, verified again: whatever is
 * answered and refused is final. Throws what `resolve` throws; of a kept view also STALE, STATE_DAMAGED and what `verify`
 * throws.
 */
export async function resolveOrKept(session: Session, reference: FixedReference): Promise<Found> {
  const asked = await resolve(session, reference).catch((error: unknown) => {
    if (error instanceof Unreachable) return error
    throw error
  })
  return asked instanceof Unreachable ? await openKept(session, reference, asked) : await keep(session, asked)
}

/** That it cannot be kept is told, and fails nobody who has a registry. */
async function keep({ kept, trustChain }: Session, { bundle, manifest }: Resolved): Promise<Found> {
  const now = new Date()
  const view = viewOf(manifest, "registry", now)
  try {
    await kept.keep(bundle, manifest, trustChain, now)
    return { bundle, manifest, view }
  } catch (error) {
    if (!(error instanceof ClientError)) throw error
    return { bundle, manifest, view: { ...view, notKept: error.message } }
  }
}

async function openKept(session: Session, reference: FixedReference, cause: Unreachable): Promise<Found> {
  const found = await session.kept.read(reference)
  if (found === null) throw nothingKept(nameOf(reference), session.kept.folder, cause)
  const { trustChain, state, maxStaleness } = session
  const { bundle, verifiedAt } = found
  const now = new Date()
  const { manifest } = await verifyReceipt({ reference, bundle, trustChain, state, maxStaleness: null, now })
  session.kept.requireOwnName(found, manifest)
  // Without witnesses only this machine can say how old its view is.
  if (manifest.freshness === null) requireRecent(verifiedAt, maxStaleness, now)
  else requireFresh(manifest.freshness.getTime() / 1000, maxStaleness, now)
  return { bundle, manifest, view: { ...viewOf(manifest, "kept", verifiedAt), because: cause.message } }
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

/** Why it cannot be had without a registry. */
export function nothingKept(what: string, folder: string, cause: Unreachable): ClientError {
  return new Unreachable(`${what}: ${cause.message}; and nothing was kept of it in ${folder}`, {
    cause,
    hint: cause.hint ?? "pull it once while the registry can be reached: what was verified then is kept",
  })
}
