/**
 * One entry of the log: what happened, when, under which number of its model, and the exact bytes and signatures that say
 * so. RFC 8785 bytes, at most 16 KiB; the log's leaf hash is over them (RFC 6962 §2.1).
 *
 *     {"at":1795435200123,"model":"acme/mnist","op":"publish",
 *      "payload":{"inline":"eyJfdHlwZSI6…","sha256":"4d3c…","size":1077,"type":"application/vnd.in-toto+json"},
 *      "prev":"","seq":0,"signatures":[{"keyid":"21f3…","sig":"yVZ0…"}],"subject":"1.2.0","v":1}
 *
 * `payload.inline` is there exactly up to 8,192 bytes; a longer payload is kept beside the log, under its SHA-256.
 */
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8, isSha256Hex, sha256Hex } from "./encoding.ts"
import { type Envelope, type EnvelopeSignature, readSignatures, signaturesText } from "./envelope.ts"
import { invalid, ManifestError, tooLarge } from "./errors.ts"
import type { JsonValue } from "./json.ts"
import { limits } from "./limits.ts"
import { isModelName, isVersion } from "./names.ts"
import { asExactly, asInteger, asString, type Fields, fields } from "./shape.ts"

/** Every operation that leaves of format v1 may name. What this version can judge is for `history.ts` to say. */
export const leafOps = [
  "genesis",
  "trust",
  "publish",
  "alias",
  "revoke",
  "deprecate",
  "registry-key",
  "tombstone",
  "seal",
  "freeze",
] as const
export type LeafOp = (typeof leafOps)[number]

export interface LeafPayload {
  /** The DSSE payload type. */
  readonly type: string
  /** 64 hex digits. */
  readonly sha256: string
  readonly size: number
  /** The bytes themselves: exactly when `size` is at most `limits.inline`. */
  readonly inline?: Uint8Array
}

export interface Leaf {
  readonly op: LeafOp
  /** When the registry put it in order: ms since 1970, at most `latestTime`. */
  readonly at: number
  /** `model`, `seq` and `prev` are there together, exactly for what happens to a model. */
  readonly model?: string
  /** Counts a model's leaves from 0. */
  readonly seq?: number
  /** Hash of the model's leaf before this one, 32 bytes; empty at seq 0. */
  readonly prev?: Uint8Array
  /** What of it: a version, the number of a trust root, … */
  readonly subject?: string
  readonly payload: LeafPayload
  /** Sorted by keyid, none twice. */
  readonly signatures: readonly EnvelopeSignature[]
}

/** ms since 1970 of the end of the year 9999: what is later is no date that can be written. */
const latestTime = 253_402_300_799_999

/** Whether a payload of that size stands in its leaf. */
export function isInline(size: number): boolean {
  return size <= limits.inline
}

/** Throws TOO_LARGE. The fields must be of the form that `parseLeaf` gives. */
export function formatLeaf(leaf: Leaf): Uint8Array<ArrayBuffer> {
  const bytes = encodeUtf8(leafText(leaf))
  if (bytes.length > limits.leaf) throw tooLarge(`the log entry has ${bytes.length} bytes`, limits.leaf)
  return bytes
}

// The members in RFC 8785 order, by hand: the sequencer and every auditor write each leaf once.
function leafText({ at, model, op, payload, prev, seq, signatures, subject }: Leaf): string {
  const modelText = model === undefined ? "" : `"model":${JSON.stringify(model)},`
  const order = seq === undefined || prev === undefined ? "" : `"prev":"${encodeBase64(prev)}","seq":${seq},`
  const inline = payload.inline === undefined ? "" : `"inline":"${encodeBase64(payload.inline)}",`
  const payloadText = `{${inline}"sha256":"${payload.sha256}","size":${payload.size},"type":${JSON.stringify(payload.type)}}`
  const subjectText = subject === undefined ? "" : `"subject":${JSON.stringify(subject)},`
  return `{"at":${at},${modelText}"op":"${op}","payload":${payloadText},${order}"signatures":${signaturesText(signatures)},${subjectText}"v":1}`
}

/** Form only; `openEntry` and `verify` judge. Throws LOG_INVALID. */
export function parseLeaf(bytes: Uint8Array): Leaf {
  try {
    if (bytes.length > limits.leaf) throw tooLarge(`it has ${bytes.length} bytes`, limits.leaf)
    const text = decodeUtf8(bytes, "it")
    const leaf = readLeaf(parseText(text))
    // One spelling: a duplicate or unsorted key, white space, another number form or escape does not come back.
    if (leafText(leaf) !== text) throw invalid("it is not canonical JSON (RFC 8785)")
    return leaf
  } catch (cause) {
    if (!(cause instanceof ManifestError)) throw cause
    throw new ManifestError("LOG_INVALID", `a log entry is malformed: ${cause.message}`, { cause })
  }
}

function parseText(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue
  } catch (cause) {
    throw new ManifestError("MANIFEST_INVALID", "it is not JSON", { cause })
  }
}

type LeafFields = Fields<"v" | "op" | "at" | "payload" | "signatures", "model" | "seq" | "prev" | "subject">

function readLeaf(value: JsonValue): Leaf {
  const required = ["v", "op", "at", "payload", "signatures"] as const
  const own = fields(value, "it", required, ["model", "seq", "prev", "subject"])
  asExactly(own.v, "v", 1)
  const op = readOp(own.op)
  const signatures = readSignatures(own.signatures)
  if ((op === "publish" || op === "trust") && signatures.length === 0) throw invalid(`a ${op} carries no signature`)
  if (op === "genesis" && signatures.length > 0) throw invalid("a genesis carries signatures")
  return {
    op,
    at: readTime(own.at),
    ...readPlace(own, op),
    ...readSubject(own.subject, op),
    payload: readPayload(own.payload),
    signatures,
  }
}

function readTime(value: JsonValue): number {
  const at = asInteger(value, "at")
  if (at > latestTime) throw invalid(`at is ${at}, after the year 9999`)
  return at
}

function readOp(value: JsonValue): LeafOp {
  const op = leafOps.find((known) => known === value)
  if (op === undefined) throw invalid(`op is ${JSON.stringify(value)}, known are ${leafOps.join(" ")}`)
  return op
}

// A revocation may be of a key, which belongs to no model.
const ofModel: ReadonlySet<LeafOp> = new Set<LeafOp>(["publish", "alias", "deprecate"])
const ofEither: ReadonlySet<LeafOp> = new Set<LeafOp>(["revoke"])

function readPlace(own: LeafFields, op: LeafOp): Pick<Leaf, "model" | "seq" | "prev"> {
  const there = [own.model, own.seq, own.prev].filter((member) => member !== undefined).length
  const fits = there === 3 ? ofModel.has(op) || ofEither.has(op) : there === 0 && !ofModel.has(op)
  if (!fits) throw invalid(`model, seq and prev do not fit the op ${op}`)
  if (there === 0) return {}
  const model = asString(own.model, "model")
  if (!isModelName(model)) throw invalid(`${JSON.stringify(model)} is not a model name`)
  const seq = asInteger(own.seq, "seq")
  const prev = decodeBase64(asString(own.prev, "prev"), "prev")
  if (prev.length !== (seq === 0 ? 0 : 32)) throw invalid("prev is a hash of 32 bytes, and empty exactly at seq 0")
  return { model, seq, prev }
}

function readSubject(value: JsonValue | undefined, op: LeafOp): { subject?: string } {
  if (value === undefined) {
    if (op === "publish" || op === "trust") throw invalid(`a ${op} has no subject`)
    return {}
  }
  const subject = asString(value, "subject")
  const fits =
    op === "publish"
      ? isVersion(subject)
      : op === "trust"
        ? /^[1-9]\d{0,14}$/.test(subject)
        : op !== "genesis" && /^[\x21-\x7e]{1,128}$/.test(subject)
  if (!fits) throw invalid(`the subject ${JSON.stringify(subject)} does not fit the op ${op}`)
  return { subject }
}

function readPayload(value: JsonValue): LeafPayload {
  const own = fields(value, "payload", ["type", "sha256", "size"], ["inline"])
  const type = asString(own.type, "payload.type")
  if (!/^[\x21-\x7e]{1,128}$/.test(type)) throw invalid("payload.type is not a media type")
  const sha256 = asString(own.sha256, "payload.sha256")
  if (!isSha256Hex(sha256)) throw invalid("payload.sha256 is not 64 lower-case hex digits")
  const size = asInteger(own.size, "payload.size")
  if (isInline(size) !== (own.inline !== undefined)) {
    throw invalid(
      `a payload of ${size} bytes ${own.inline === undefined ? "lacks" : "has"} inline: the limit is ${limits.inline}`,
    )
  }
  if (own.inline === undefined) return { type, sha256, size }
  const inline = decodeBase64(asString(own.inline, "payload.inline"), "payload.inline")
  if (inline.length !== size) throw invalid(`payload.inline has ${inline.length} bytes, payload.size says ${size}`)
  return { type, sha256, size, inline }
}

/** What a leaf says of `payload`, whose digest may be known. */
export function payloadOf(type: string, payload: Uint8Array, sha256: string = sha256Hex(payload)): LeafPayload {
  const facts = { type, sha256, size: payload.length }
  return isInline(payload.length) ? { ...facts, inline: payload } : facts
}

/**
 * The signed envelope of a leaf. `payload` is given exactly when the leaf does not hold it. Throws LOG_INVALID when it is
 * absent, or not the bytes that the leaf names.
 */
export function envelopeOf(leaf: Leaf, payload: Uint8Array | null): Envelope {
  const { type, sha256, size, inline } = leaf.payload
  const bytes = inline ?? payload
  if (bytes === null)
    throw notThePayload(`the payload ${sha256} of ${size} bytes is not in the entry and was not given`)
  if (bytes.length !== size || sha256Hex(bytes) !== sha256) {
    throw notThePayload(
      `the payload has ${bytes.length} bytes and SHA-256 ${sha256Hex(bytes)}, the entry names ${sha256}`,
    )
  }
  return { payloadType: type, payload: bytes, signatures: leaf.signatures }
}

function notThePayload(message: string): ManifestError {
  return new ManifestError("LOG_INVALID", message)
}
