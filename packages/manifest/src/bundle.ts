/**
 * What a registry answers about a version, and what a consumer keeps as a receipt: who signed what, the log entry that
 * says so, and the proof that the log holds it.
 *
 *     {"entry":"eyJhdCI6…","envelope":{…},"mediaType":"application/vnd.weighlock.bundle.v1+json",
 *      "proof":"c2sp.org/tlog-proof@v1\nindex 2\n…"}
 *
 * `entry` is the leaf, `proof` the text of c2sp.org/tlog-proof. A bundle without them can be read and is never verified.
 */
import { decodeBase64, encodeBase64, encodeUtf8 } from "./encoding.ts"
import { type Envelope, envelopeText, readEnvelope } from "./envelope.ts"
import { tooLarge } from "./errors.ts"
import { canonicalText, type JsonValue, parseJson } from "./json.ts"
import { limits } from "./limits.ts"
import { asExactly, asString, fields } from "./shape.ts"

export const bundleMediaType = "application/vnd.weighlock.bundle.v1+json"

export interface Bundle {
  readonly envelope: Envelope
  /** The exact bytes of the leaf. */
  readonly entry?: Uint8Array
  readonly proof?: string
}

/** Form only; `verify` judges. Throws MANIFEST_INVALID, TOO_LARGE or UNSIGNED. */
export function parseBundle(bytes: Uint8Array): Bundle {
  if (bytes.length > limits.bundle) throw tooLarge(`the bundle has ${bytes.length} bytes`, limits.bundle)
  const own = fields(parseJson(bytes, "the bundle"), "the bundle", ["mediaType", "envelope"], ["entry", "proof"])
  asExactly(own.mediaType, "mediaType", bundleMediaType)
  return { envelope: readEnvelope(own.envelope), ...readEntry(own.entry), ...readProof(own.proof) }
}

export function formatBundle({ envelope, entry, proof }: Bundle): Uint8Array<ArrayBuffer> {
  const entryText = entry === undefined ? "" : `"entry":"${encodeBase64(entry)}",`
  const proofText = proof === undefined ? "" : `,"proof":${canonicalText(proof)}`
  return encodeUtf8(`{${entryText}"envelope":${envelopeText(envelope)},"mediaType":"${bundleMediaType}"${proofText}}`)
}

function readEntry(value: JsonValue | undefined): { entry?: Uint8Array } {
  if (value === undefined) return {}
  const entry = decodeBase64(asString(value, "entry"), "entry")
  if (entry.length > limits.leaf) throw tooLarge(`the entry has ${entry.length} bytes`, limits.leaf)
  return { entry }
}

function readProof(value: JsonValue | undefined): { proof?: string } {
  if (value === undefined) return {}
  const proof = asString(value, "proof")
  if (proof.length > limits.proof) throw tooLarge(`the proof has ${proof.length} characters`, limits.proof)
  return { proof }
}
