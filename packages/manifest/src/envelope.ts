/**
 * The DSSE envelope: the exact payload bytes and who signed them (github.com/secure-systems-lab/dsse).
 *
 *     {"payload":"eyJfdHlwZSI6…","payloadType":"application/vnd.in-toto+json",
 *      "signatures":[{"keyid":"21f3…","sig":"yVZ0…"}]}
 *
 * Each signature is over the pre-authentication encoding `DSSEv1 <len type> <type> <len payload> <payload>`, so a
 * signature for one kind of record never verifies for another.
 */
import { decodeBase64, encodeBase64, encodeUtf8, isSha256Hex } from "./encoding.ts"
import { invalid, ManifestError, tooLarge } from "./errors.ts"
import { canonicalText, type JsonValue, parseJson } from "./json.ts"
import type { PublicKey } from "./keys.ts"
import { limits } from "./limits.ts"
import { asArray, asString, fields } from "./shape.ts"
import { type Verifiers, verifyWith } from "./verifiers.ts"

export interface EnvelopeSignature {
  readonly keyid: string
  readonly sig: Uint8Array
}

export interface Envelope {
  readonly payloadType: string
  readonly payload: Uint8Array
  /** Sorted by keyid, none twice. */
  readonly signatures: readonly EnvelopeSignature[]
}

/** Holds a private key, or asks something that does. */
export interface Signer {
  readonly publicKey: PublicKey
  sign(message: Uint8Array): Promise<Uint8Array>
}

/** DSSE v1 PAE; lengths are decimal byte counts. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = encodeUtf8(`DSSEv1 ${encodeUtf8(payloadType).length} ${payloadType} ${payload.length} `)
  const whole = new Uint8Array(head.length + payload.length)
  whole.set(head)
  whole.set(payload, head.length)
  return whole
}

/** Adds signatures to what is there; a signer who signed already replaces nothing. */
export async function signEnvelope(
  unsigned: {
    readonly payloadType: string
    readonly payload: Uint8Array
    readonly signatures?: readonly EnvelopeSignature[]
  },
  signers: readonly Signer[],
): Promise<Envelope> {
  const message = preAuthEncoding(unsigned.payloadType, unsigned.payload)
  const byKeyid = new Map<string, EnvelopeSignature>()
  for (const signer of signers) {
    const { keyid } = signer.publicKey
    byKeyid.set(keyid, { keyid, sig: await signer.sign(message) })
  }
  for (const signature of unsigned.signatures ?? []) byKeyid.set(signature.keyid, signature)
  const signatures = [...byKeyid.values()].toSorted((a, b) => (a.keyid < b.keyid ? -1 : 1))
  return { payloadType: unsigned.payloadType, payload: unsigned.payload, signatures }
}

export function formatEnvelope(envelope: Envelope): Uint8Array<ArrayBuffer> {
  return encodeUtf8(envelopeText(envelope))
}

/** The members in RFC 8785 order, by hand: a registry writes envelopes and bundles all the time. */
export function envelopeText({ payload, payloadType, signatures }: Envelope): string {
  return `{"payload":"${encodeBase64(payload)}","payloadType":${canonicalText(payloadType)},"signatures":${signaturesText(signatures)}}`
}

export function signaturesText(signatures: readonly EnvelopeSignature[]): string {
  return `[${signatures.map(({ keyid, sig }) => `{"keyid":${canonicalText(keyid)},"sig":"${encodeBase64(sig)}"}`).join(",")}]`
}

/** Form only; `openEnvelope` verifies. Throws MANIFEST_INVALID, TOO_LARGE, or UNSIGNED when no one signed. */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > limits.envelope) throw tooLarge(`the envelope has ${bytes.length} bytes`, limits.envelope)
  return readEnvelope(parseJson(bytes, "the envelope"))
}

export function readEnvelope(value: JsonValue | undefined): Envelope {
  const own = fields(value, "the envelope", ["payload", "payloadType", "signatures"])
  const signatures = readSignatures(own.signatures)
  if (signatures.length === 0) throw new ManifestError("UNSIGNED", "the envelope carries no signature")
  return {
    payload: decodeBase64(asString(own.payload, "payload"), "payload"),
    payloadType: asString(own.payloadType, "payloadType"),
    signatures,
  }
}

/** Sorted by keyid, none twice; at most `limits.signatures`. */
export function readSignatures(value: JsonValue): EnvelopeSignature[] {
  const list = asArray(value, "signatures")
  if (list.length > limits.signatures) throw tooLarge(`there are ${list.length} signatures`, limits.signatures)
  const signatures = list.map(readSignature)
  for (const [at, { keyid }] of signatures.entries()) {
    if (at > 0 && keyid <= (signatures[at - 1]?.keyid ?? ""))
      throw invalid("signatures are not sorted by keyid, each once")
  }
  return signatures
}

function readSignature(value: JsonValue): EnvelopeSignature {
  const own = fields(value, "a signature", ["keyid", "sig"])
  const keyid = asString(own.keyid, "keyid")
  if (!isSha256Hex(keyid)) throw invalid("a keyid is not 64 lower-case hex digits")
  return { keyid, sig: decodeBase64(asString(own.sig, "sig"), "sig") }
}

/**
 * The keyids among `keys` whose signature holds. An unknown keyid never counts; a known one whose signature fails makes
 * the whole envelope invalid (SIGNATURE_INVALID), as does another payload type (MANIFEST_INVALID).
 */
export function checkSignatures(
  envelope: Envelope,
  payloadType: string,
  keys: ReadonlyMap<string, PublicKey>,
  verifiers: Verifiers,
): ReadonlySet<string> {
  if (envelope.payloadType !== payloadType) {
    throw invalid(`the envelope holds ${JSON.stringify(envelope.payloadType)}, expected ${JSON.stringify(payloadType)}`)
  }
  const message = preAuthEncoding(envelope.payloadType, envelope.payload)
  const valid = new Set<string>()
  for (const { keyid, sig } of envelope.signatures) {
    const key = keys.get(keyid)
    if (key === undefined) continue
    if (!verifyWith(verifiers, key, sig, message))
      throw new ManifestError("SIGNATURE_INVALID", `the signature of key ${keyid} does not match the signed bytes`)
    valid.add(keyid)
  }
  return valid
}
