/**
 * Sigstore bundle v0.3 (`model.sig` of OpenSSF Model Signing): the same payload and signature bytes in the form other
 * verifiers read. One bundle holds one signature; the key is named by its hint, which is our keyid.
 *
 *     {"dsseEnvelope":{"payload":"…","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"…","sig":"…"}]},
 *      "mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",
 *      "verificationMaterial":{"publicKey":{"hint":"…"},"tlogEntries":[]}}
 */
import { decodeBase64, encodeBase64, isSha256Hex } from "./encoding.ts"
import type { Envelope } from "./envelope.ts"
import { invalid, ManifestError } from "./errors.ts"
import { canonicalJson, type JsonValue, parseJson } from "./json.ts"
import { limits } from "./limits.ts"
import { asArray, asExactly, asString, fields } from "./shape.ts"

const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

export function isSigstoreBundle(value: JsonValue): boolean {
  return value !== null && typeof value === "object" && !Array.isArray(value) && value["dsseEnvelope"] !== undefined
}

/** One bundle for each signature, in the order of the envelope. */
export function exportSigstore(envelope: Envelope): Uint8Array<ArrayBuffer>[] {
  return envelope.signatures.map((signature) =>
    canonicalJson({
      mediaType,
      verificationMaterial: { publicKey: { hint: signature.keyid }, tlogEntries: [] },
      dsseEnvelope: {
        payload: encodeBase64(envelope.payload),
        payloadType: envelope.payloadType,
        signatures: [{ keyid: signature.keyid, sig: encodeBase64(signature.sig) }],
      },
    }),
  )
}

/** Form only. Accepts a `keyid` that is absent, empty, or equal to the hint. Throws MANIFEST_INVALID or TOO_LARGE. */
export function importSigstore(bytes: Uint8Array): Envelope {
  if (bytes.length > limits.bundle)
    throw new ManifestError("TOO_LARGE", `a Sigstore bundle of ${bytes.length} bytes exceeds ${limits.bundle}`)
  const own = fields(parseJson(bytes, "the Sigstore bundle"), "the Sigstore bundle", [
    "mediaType",
    "verificationMaterial",
    "dsseEnvelope",
  ])
  asExactly(own.mediaType, "mediaType", mediaType)
  const material = fields(
    own.verificationMaterial,
    "verificationMaterial",
    ["publicKey"],
    ["tlogEntries", "timestampVerificationData"],
  )
  if (asArray(material.tlogEntries ?? [], "tlogEntries").length > 0)
    throw invalid("a Sigstore bundle with log entries is not ours")
  const hint = asString(fields(material.publicKey, "publicKey", ["hint"]).hint, "hint")
  if (!isSha256Hex(hint)) throw invalid("the hint is not a keyid of 64 lower-case hex digits")
  const dsse = fields(own.dsseEnvelope, "dsseEnvelope", ["payload", "payloadType", "signatures"])
  const signatures = asArray(dsse.signatures, "signatures")
  if (signatures.length !== 1) throw invalid(`the bundle holds ${signatures.length} signatures, expected 1`)
  return {
    payloadType: asString(dsse.payloadType, "payloadType"),
    payload: decodeBase64(asString(dsse.payload, "payload"), "payload"),
    signatures: signatures.map((value) => readSignature(value, hint)),
  }
}

function readSignature(value: JsonValue, hint: string): { keyid: string; sig: Uint8Array } {
  const own = fields(value, "a signature", ["sig"], ["keyid"])
  const keyid = asString(own.keyid ?? "", "keyid")
  if (keyid !== "" && keyid !== hint) throw invalid("the signature's keyid is not the bundle's hint")
  return { keyid: hint, sig: decodeBase64(asString(own.sig, "sig"), "sig") }
}
