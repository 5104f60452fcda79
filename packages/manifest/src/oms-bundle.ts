/**
 * A `model.sig` that another OpenSSF Model Signing tool wrote: a Sigstore bundle v0.3 with one signature and no log entry.
 * `sigstore.ts` reads our own, which says less in fewer ways.
 *
 *     {"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",
 *      "verificationMaterial":{"publicKey":{"hint":"3576…"},"tlogEntries":[]},
 *      "dsseEnvelope":{"payload":"…","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"…","keyid":""}]}}
 *
 * Up to v1.0.1 `model_signing` wrote `"publicKey":{"rawBytes":"<base64 of PEM>","keyDetails":"PKIX_ECDSA_P256_SHA_256"}`;
 * by the certificate method there is `"x509CertificateChain":{"certificates":[{"rawBytes":"<base64 of DER>"},…]}`, the
 * signer's own first. What is named here is never trusted: it must be what the user trusts.
 */
import { decodeBase64, decodeUtf8 } from "./encoding.ts"
import { invalid, ManifestError, tooLarge } from "./errors.ts"
import { type JsonValue, parseJson } from "./json.ts"
import { limits } from "./limits.ts"
import { asArray, asExactly, asObject, asString, fields } from "./shape.ts"

/** Who the bundle says has signed. */
export type OmsMaterial =
  | { readonly by: "key"; readonly hint?: string; readonly pem?: string }
  /** DER, the signer's own first. */
  | { readonly by: "certificate"; readonly chain: readonly Uint8Array[] }

export interface OmsBundle {
  readonly material: OmsMaterial
  readonly payloadType: string
  readonly payload: Uint8Array
  readonly signature: Uint8Array
}

const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
/** Certificates in a bundle. */
const longestChain = 16

/** Form only; `openOms` verifies. Throws MANIFEST_INVALID, TOO_LARGE, UNSIGNED, or USAGE for a keyless one. */
export function parseOmsBundle(bytes: Uint8Array): OmsBundle {
  if (bytes.length > limits.bundle) throw tooLarge(`the Sigstore bundle has ${bytes.length} bytes`, limits.bundle)
  const own = fields(parseJson(bytes, "the Sigstore bundle"), "the Sigstore bundle", [
    "mediaType",
    "verificationMaterial",
    "dsseEnvelope",
  ])
  asExactly(own.mediaType, "mediaType", mediaType)
  const material = readMaterial(own.verificationMaterial)
  const dsse = fields(own.dsseEnvelope, "dsseEnvelope", ["payload", "payloadType", "signatures"])
  const payload = decodeBase64(asString(dsse.payload, "payload"), "payload")
  if (payload.length > limits.payload) throw tooLarge(`the statement has ${payload.length} bytes`, limits.payload)
  return {
    material,
    payloadType: asString(dsse.payloadType, "payloadType"),
    payload,
    signature: readSignature(dsse.signatures, material),
  }
}

function readMaterial(value: JsonValue): OmsMaterial {
  if (Object.hasOwn(asObject(value, "verificationMaterial"), "certificate"))
    throw new ManifestError("USAGE", "this bundle was signed without a key, through Sigstore's own services", {
      hint: "that is checked by their tool: model_signing verify sigstore",
    })
  const { tlogEntries, timestampVerificationData, ...named } = fields(
    value,
    "verificationMaterial",
    [],
    ["publicKey", "x509CertificateChain", "tlogEntries", "timestampVerificationData"],
  )
  if (asArray(tlogEntries ?? [], "tlogEntries").length > 0)
    throw invalid("the bundle has log entries, which a signature by key or certificate does not have")
  const stamps = fields(timestampVerificationData ?? {}, "timestampVerificationData", [], ["rfc3161Timestamps"])
  if (asArray(stamps.rfc3161Timestamps ?? [], "rfc3161Timestamps").length > 0)
    throw invalid("the bundle has timestamps, which are not checked here")
  if ((named.publicKey === undefined) === (named.x509CertificateChain === undefined))
    throw invalid("verificationMaterial names neither one public key nor one certificate chain")
  return named.publicKey === undefined ? readChain(named.x509CertificateChain) : readKey(named.publicKey)
}

function readKey(value: JsonValue): OmsMaterial {
  const { hint, rawBytes, keyDetails } = fields(value, "publicKey", [], ["hint", "rawBytes", "keyDetails"])
  // v0.2.0 says P-256 of every key.
  if (keyDetails !== undefined && !/^PKIX_[A-Z0-9_]{1,60}$/.test(asString(keyDetails, "keyDetails")))
    throw invalid("keyDetails does not name a kind of key")
  const name = asString(hint ?? "", "hint")
  return {
    by: "key",
    ...(name === "" ? {} : { hint: name }),
    ...(rawBytes === undefined
      ? {}
      : { pem: decodeUtf8(decodeBase64(asString(rawBytes, "rawBytes"), "rawBytes"), "the public key") }),
  }
}

function readChain(value: JsonValue | undefined): OmsMaterial {
  const list = asArray(fields(value, "x509CertificateChain", ["certificates"]).certificates, "certificates")
  if (list.length === 0 || list.length > longestChain)
    throw invalid(`the chain has ${list.length} certificates, expected 1 to ${longestChain}`)
  const chain = list.map((item) =>
    decodeBase64(asString(fields(item, "a certificate", ["rawBytes"]).rawBytes, "rawBytes"), "a certificate"),
  )
  return { by: "certificate", chain }
}

function readSignature(value: JsonValue, material: OmsMaterial): Uint8Array {
  const list = asArray(value, "signatures")
  if (list.length === 0) throw new ManifestError("UNSIGNED", "the bundle carries no signature")
  if (list.length !== 1) throw invalid(`the bundle holds ${list.length} signatures, expected 1`)
  const own = fields(list[0], "a signature", ["sig"], ["keyid"])
  const keyid = asString(own.keyid ?? "", "keyid")
  if (keyid !== "" && (material.by !== "key" || keyid !== material.hint))
    throw invalid("the signature's keyid is not the bundle's hint")
  return decodeBase64(asString(own.sig, "sig"), "sig")
}
