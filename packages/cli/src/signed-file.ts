/** What a signature file on disk may be: our envelope, our bundle, or a Sigstore bundle of one of our signatures. */
import {
  type Bundle,
  bundleMediaType,
  type Envelope,
  importSigstore,
  isSigstoreBundle,
  parseBundle,
  parseEnvelope,
  parseJson,
} from "@weighlock/manifest"

export interface SignedFile {
  readonly envelope: Envelope
  readonly kind: "envelope" | "bundle" | "sigstore"
  readonly bundle?: Bundle
}

/** Form only. Throws MANIFEST_INVALID, UNSIGNED or TOO_LARGE. */
export function readSigned(bytes: Uint8Array): SignedFile {
  const value = parseJson(bytes, "the signature file")
  if (isSigstoreBundle(value)) return { kind: "sigstore", envelope: importSigstore(bytes) }
  const isBundle =
    value !== null && typeof value === "object" && !Array.isArray(value) && value["mediaType"] === bundleMediaType
  if (!isBundle) return { kind: "envelope", envelope: parseEnvelope(bytes) }
  const bundle = parseBundle(bytes)
  return { kind: "bundle", envelope: bundle.envelope, bundle }
}
