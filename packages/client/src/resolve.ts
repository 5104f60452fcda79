/** From a reference to a verified manifest: ask, then believe only what `verify` returns. */
import {
  type Bundle,
  type FixedReference,
  limits,
  parseBundle,
  verify,
  type VerifiedManifest,
} from "@weighlock/manifest"
import { emptyCheckpoint } from "@weighlock/tlog"
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
  return check(session, reference, parseBundle(body))
}

function nameOf({ model, selector }: FixedReference): string {
  return `${model}@${selector.by === "version" ? selector.version : `sha256:${selector.digest}`}`
}

export function check({ trustChain }: Session, reference: FixedReference, bundle: Bundle): Resolved {
  const manifest = verify({
    reference,
    bundle,
    trustChain,
    seen: emptyCheckpoint(trustChain.current.log.origin),
    consistency: [],
    now: new Date(),
  })
  return { manifest, bundle }
}
