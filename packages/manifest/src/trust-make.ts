/** The first trust root that `weighlock init` writes: one key for everything, one year, widened later by editing it. */
import { encodeBase64 } from "./encoding.ts"
import { canonicalJson } from "./json.ts"
import type { PublicKey } from "./keys.ts"
import { formatTime } from "./time.ts"
import { parseTrustRoot } from "./trust.ts"

export interface FirstTrustRoot {
  readonly registry: string
  readonly key: PublicKey
  readonly label: string
  /** Verifier key of the log, named `<registry>/log`. */
  readonly vkey: string
  readonly expires: Date
  /** Which witnesses must confirm the log; none by default. */
  readonly policy?: string
}

/** The canonical payload to sign. */
export function makeFirstTrustRoot(first: FirstTrustRoot): Uint8Array<ArrayBuffer> {
  const { registry, key, label, vkey, expires, policy = "quorum none\n" } = first
  const only = { threshold: 1, keys: [key.keyid] }
  const payload = canonicalJson({
    type: "trust-root",
    schema: 1,
    registry,
    version: 1,
    expires: formatTime(expires),
    keys: { [key.keyid]: { type: key.type, public: encodeBase64(key.bytes), label } },
    roles: { root: only },
    log: { origin: `${registry}/log`, vkeys: [vkey], policy },
    namespaces: [{ pattern: "*/*", publish: only, promote: only, epoch: 0 }],
  })
  parseTrustRoot(payload)
  return payload
}
