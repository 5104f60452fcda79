/**
 * A signed note is text that one or more keys have signed (c2sp.org/signed-note).
 *
 *     models.acme.example/log
 *     42
 *     nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=
 *
 *     — models.acme.example/log obLD1Ci…=          em dash, key name, base64(4-byte key id || signature)
 *     — witness.example/w1 uKLPIAAAAABpVG…=        a signature by a key one does not know is ignored
 *
 * The last empty line parts text and signatures. The name and the id together say which key signed, and how.
 */
import { decodeBase64, decodeHex, encodeBase64, encodeHex, encodeUtf8 } from "./encoding.ts"
import { TlogError } from "./errors.ts"
import { isKeyName } from "./vkey.ts"

/** Room for the cosignatures of every witness that a policy may name (policyLimits), and for 16 signatures of the log. */
export const noteLimits = { bytes: 65_536, signatures: 80 } as const

export interface NoteSignature {
  readonly name: string
  /** Eight lower-case hexadecimal digits. */
  readonly id: string
  /** What follows the key id; not empty. */
  readonly bytes: Uint8Array
}

export interface Note {
  /** Ends in a line feed. */
  readonly text: string
  /** At least one. */
  readonly signatures: readonly NoteSignature[]
}

/** Form only. Throws MALFORMED unless `text` is the one spelling of a note of at most 64 KiB and 80 signatures. */
export function parseNote(text: string): Note {
  if (text.length > noteLimits.bytes || encodeUtf8(text).length > noteLimits.bytes) {
    throw new TlogError("MALFORMED", `a signed note of more than ${noteLimits.bytes} bytes`)
  }
  if (!isNoteText(text)) throw malformed("holds a control character or is not well-formed")
  const blank = text.lastIndexOf("\n\n")
  if (blank < 0) throw malformed("has no empty line before its signatures")
  return { text: text.slice(0, blank + 1), signatures: parseSignatureLines(text.slice(blank + 2)) }
}

/** The signature lines alone, as a witness answers them. Throws MALFORMED. */
export function parseSignatureLines(text: string): NoteSignature[] {
  if (!text.endsWith("\n")) throw malformed("does not end in a line feed")
  const lines = text.slice(0, -1).split("\n")
  if (lines.length > noteLimits.signatures) throw malformed(`carries more than ${noteLimits.signatures} signatures`)
  return lines.map(parseSignature)
}

/** Throws MALFORMED where the result would not be a note. */
export function formatNote({ text, signatures }: Note): string {
  const note = `${text}\n${formatSignatureLines(signatures)}`
  if (parseNote(note).text !== text) throw malformed("has a text that does not end in one line feed")
  return note
}

export function formatSignatureLines(signatures: readonly NoteSignature[]): string {
  return signatures
    .map(({ name, id, bytes }) => `— ${name} ${encodeBase64(Uint8Array.of(...(decodeHex(id) ?? []), ...bytes))}\n`)
    .join("")
}

/** The note with these signatures as well; one that is there already is not repeated. */
export function addSignatures(note: string, signatures: readonly NoteSignature[]): string {
  const { text, signatures: present } = parseNote(note)
  const lines = new Set([...present, ...signatures].map((signature) => formatSignatureLines([signature])))
  return formatNote({ text, signatures: parseSignatureLines([...lines].join("")) })
}

/** Well-formed, and no control character below U+0020 but the line feed. */
export function isNoteText(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what a note must not hold
  return text.isWellFormed() && !/[\u0000-\u0009\u000b-\u001f]/.test(text)
}

function parseSignature(line: string): NoteSignature {
  const [dash, name = "", signature = "", ...more] = line.split(" ")
  const bytes = decodeBase64(signature)
  if (dash !== "—" || !isKeyName(name) || bytes === null || bytes.length < 5 || more.length > 0) {
    throw malformed(`has a line that is no signature: ${JSON.stringify(line.slice(0, 200))}`)
  }
  return { name, id: encodeHex(bytes.subarray(0, 4)), bytes: bytes.subarray(4) }
}

function malformed(what: string): TlogError {
  return new TlogError("MALFORMED", `the signed note ${what}`)
}
