/**
 * The payload of entry 0: which log this is, the key it began with, and the trust root it answers to.
 *
 *     {"origin":"models.acme.example/log","trustRoot":"<sha256 of trust root v1's payload>",
 *      "vkey":"models.acme.example/log+a1b2c3d4+AfWr…="}
 *
 * Nobody signs it but the log, whose checkpoints commit to it. A log whose genesis names another trust root is another
 * registry's log.
 */
import { parseVkey } from "@weighlock/tlog"
import { isSha256Hex } from "./encoding.ts"
import { invalid } from "./errors.ts"
import { canonicalJson, parseCanonical } from "./json.ts"
import { asString, fields } from "./shape.ts"

export const genesisPayloadType = "application/vnd.weighlock.genesis.v1+json"

export interface Genesis {
  readonly origin: string
  /** SHA-256 of the payload of trust root version 1, hex. */
  readonly trustRoot: string
  /** The log's verifier key when it began. */
  readonly vkey: string
}

export function formatGenesis({ origin, trustRoot, vkey }: Genesis): Uint8Array<ArrayBuffer> {
  return canonicalJson({ origin, trustRoot, vkey })
}

/** Form only. Throws MANIFEST_INVALID. */
export function parseGenesis(payload: Uint8Array): Genesis {
  const own = fields(parseCanonical(payload, "the genesis"), "the genesis", ["origin", "trustRoot", "vkey"])
  const [origin, trustRoot, vkey] = [
    asString(own.origin, "origin"),
    asString(own.trustRoot, "trustRoot"),
    asString(own.vkey, "vkey"),
  ]
  if (!isSha256Hex(trustRoot)) throw invalid("trustRoot is not 64 lower-case hex digits")
  if (parseVkey(vkey)?.name !== origin) throw invalid(`${JSON.stringify(vkey)} is not a verifier key of ${origin}`)
  return { origin, trustRoot, vkey }
}
