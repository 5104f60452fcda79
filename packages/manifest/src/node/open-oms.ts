/**
 * Whose signature is under another tool's bundle, and what did it sign? The security decision about foreign bundles, as
 * `verify` is about ours: keys and roots come from the user, the payload is parsed only once its signature holds.
 */
import {
  encodeUtf8,
  ManifestError,
  type OmsBundle,
  omsPayloadType,
  type OmsStatement,
  parseOmsBundle,
  parseOmsStatement,
  preAuthEncoding,
} from "../index.ts"
import type { Certificate } from "./certificate.ts"
import { openCertificateChain } from "./certificate-chain.ts"
import { type OmsKey, parseOmsKey, verifyOmsSignature, verifyWithSha256 } from "./oms-key.ts"

/** What the user trusts: one key, or whomever these roots vouch for. */
export type OmsTrust =
  | { readonly by: "key"; readonly key: OmsKey }
  | { readonly by: "certificate"; readonly roots: readonly Certificate[] }

export type OmsSigner =
  | { readonly method: "key"; readonly key: OmsKey }
  | {
      readonly method: "certificate"
      readonly key: OmsKey
      readonly subject: string
      readonly fingerprint: string
      readonly root: string
    }

declare const signed: unique symbol

/** A statement under which the signature holds of a key that the user trusts. Made only by `openOms`. */
export interface SignedOms {
  readonly [signed]: true
  readonly statement: OmsStatement
  readonly signer: OmsSigner
}

/** Throws SIGNATURE_INVALID, SIGNER_UNTRUSTED, MANIFEST_INVALID, TOO_LARGE, UNSIGNED, KEY_WEAK or USAGE. */
export function openOms(bytes: Uint8Array, trust: OmsTrust, now: Date): SignedOms {
  const bundle = parseOmsBundle(bytes)
  if (bundle.payloadType !== omsPayloadType)
    throw new ManifestError("MANIFEST_INVALID", `the payload is of another type than ${omsPayloadType}`)
  const signer = trustedSigner(bundle, trust, now)
  const form = signedForm(bundle, signer.key)
  const statement = parseOmsStatement(bundle.payload)
  if (form === "v0.2" && statement.predicateType === "https://model_signing/signature/v1.0")
    throw new ManifestError("SIGNATURE_INVALID", "the statement is of v1.0, its signature as only v0.2 made it")
  return { statement, signer } as SignedOms
}

function trustedSigner({ material }: OmsBundle, trust: OmsTrust, now: Date): OmsSigner {
  if (trust.by === "certificate") {
    if (material.by === "key")
      throw new ManifestError("USAGE", "this bundle names a key, not certificates", { hint: "give --key-file" })
    return { method: "certificate", ...openCertificateChain(material.chain, trust.roots, now) }
  }
  if (material.by === "certificate")
    throw new ManifestError("USAGE", "this bundle names certificates, not a key", {
      hint: "give --certificate-chain with the roots you trust",
    })
  const { hint, pem } = material
  const found = pem === undefined ? hint : parseOmsKey(pem, "the public key in the bundle").keyid
  if ((found ?? trust.key.keyid) !== trust.key.keyid || (hint ?? trust.key.keyid) !== trust.key.keyid)
    throw new ManifestError(
      "SIGNER_UNTRUSTED",
      `the bundle names the key ${found?.slice(0, 100)}, yours is ${trust.key.keyid}`,
    )
  return { method: "key", key: trust.key }
}

/** DSSE's encoding with the curve's hash; else as v0.2.0 did it. */
function signedForm({ payloadType, payload, signature }: OmsBundle, key: OmsKey): "dsse" | "v0.2" {
  if (verifyOmsSignature(key, signature, preAuthEncoding(payloadType, payload))) return "dsse"
  if (verifyWithSha256(key, signature, encodingOf02(payloadType, payload))) return "v0.2"
  throw new ManifestError("SIGNATURE_INVALID", `the signature is not one of key ${key.keyid} over these bytes`)
}

/**
 * What v0.2.0 signed in place of DSSE's encoding: the payload as Python shows bytes, `DSSEV1 28 <type> 12 b'{\n  "a": 1}\n'`.
 * One payload has one such text, and it never begins like the right one.
 */
export function encodingOf02(payloadType: string, payload: Uint8Array): Uint8Array {
  const quote = payload.includes(0x27) && !payload.includes(0x22) ? '"' : "'"
  let shown = ""
  for (const byte of payload) shown += shownByte(byte, quote)
  return encodeUtf8(
    `DSSEV1 ${encodeUtf8(payloadType).length} ${payloadType} ${payload.length} b${quote}${shown}${quote}`,
  )
}

function shownByte(byte: number, quote: string): string {
  const character = String.fromCharCode(byte)
  if (character === "\\" || character === quote) return `\\${character}`
  if (character === "\t") return "\\t"
  if (character === "\n") return "\\n"
  if (character === "\r") return "\\r"
  return byte < 0x20 || byte > 0x7e ? `\\x${byte.toString(16).padStart(2, "0")}` : character
}
