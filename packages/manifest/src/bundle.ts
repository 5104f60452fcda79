/**
 * What a registry answers about a version, and what a consumer keeps as a receipt.
 *
 *     {"envelope":{…},"mediaType":"application/vnd.weighlock.bundle.v1+json"}
 *
 * `entry` and `proof` come with the transparency log.
 */
import { type Envelope, envelopeJson, readEnvelope } from "./envelope.ts"
import { ManifestError } from "./errors.ts"
import { canonicalJson, parseJson } from "./json.ts"
import { limits } from "./limits.ts"
import { asExactly, asString, fields } from "./shape.ts"

export const bundleMediaType = "application/vnd.weighlock.bundle.v1+json"

export interface Bundle {
  readonly envelope: Envelope
  readonly entry?: string
  readonly proof?: string
}

/** Form only; `verify` judges. Throws MANIFEST_INVALID, TOO_LARGE or UNSIGNED. */
export function parseBundle(bytes: Uint8Array): Bundle {
  if (bytes.length > limits.bundle)
    throw new ManifestError("TOO_LARGE", `a bundle of ${bytes.length} bytes exceeds ${limits.bundle}`)
  const own = fields(parseJson(bytes, "the bundle"), "the bundle", ["mediaType", "envelope"], ["entry", "proof"])
  asExactly(own.mediaType, "mediaType", bundleMediaType)
  return {
    envelope: readEnvelope(own.envelope),
    ...(own.entry === undefined ? {} : { entry: asString(own.entry, "entry") }),
    ...(own.proof === undefined ? {} : { proof: asString(own.proof, "proof") }),
  }
}

export function formatBundle({ envelope, entry, proof }: Bundle): Uint8Array<ArrayBuffer> {
  return canonicalJson({
    mediaType: bundleMediaType,
    envelope: envelopeJson(envelope),
    ...(entry === undefined ? {} : { entry }),
    ...(proof === undefined ? {} : { proof }),
  })
}
