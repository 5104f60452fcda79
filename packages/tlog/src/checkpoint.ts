/**
 * A checkpoint names one state of the log: who keeps it, how many entries, the root hash (c2sp.org/tlog-checkpoint).
 *
 *     models.acme.example/log
 *     0
 *     47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
 */
import { decodeBase64, encodeBase64 } from "./encoding.ts"
import { TlogError } from "./errors.ts"
import { emptyRoot, type Hash } from "./hash.ts"
import { isNoteText } from "./note.ts"

export interface Checkpoint {
  readonly origin: string
  readonly size: number
  readonly root: Hash
  /** Lines after the third, opaque. Never empty. */
  readonly extension?: readonly string[]
}

/** What a client has seen of a log it meets for the first time: nothing. The root of an empty tree is SHA-256("") (RFC 6962 §2.1). */
export function emptyCheckpoint(origin: string): Checkpoint {
  return { origin, size: 0, root: emptyRoot() }
}

/** The body of a checkpoint note: form only, nothing is verified. Throws MALFORMED; UNSUPPORTED for a size past 2^53 - 1. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = "", size = "", root = "", ...extension] = text.split("\n")
  const hash = decodeBase64(root)
  if (!isNoteText(text) || extension.pop() !== "" || origin === "" || hash?.length !== 32 || extension.includes("")) {
    throw new TlogError("MALFORMED", `not a checkpoint: ${JSON.stringify(text.slice(0, 300))}`)
  }
  return { origin, size: parseSize(size), root: hash, ...(extension.length === 0 ? {} : { extension }) }
}

/** Throws MALFORMED where the result would not be a checkpoint. */
export function formatCheckpoint({ origin, size, root, extension = [] }: Checkpoint): string {
  const text = [origin, String(size), encodeBase64(root), ...extension].map((line) => `${line}\n`).join("")
  const { origin: line, extension: lines = [] } = parseCheckpoint(text)
  if (line === origin && lines.length === extension.length) return text
  throw new TlogError("MALFORMED", "an origin and an extension are one line each")
}

/** ASCII decimal without leading zeroes. Throws MALFORMED, or UNSUPPORTED past 2^53 - 1. */
export function parseSize(text: string): number {
  if (!/^(?:0|[1-9][0-9]{0,19})$/.test(text)) {
    throw new TlogError("MALFORMED", `not a tree size: ${JSON.stringify(text.slice(0, 40))}`)
  }
  const size = Number(text)
  if (Number.isSafeInteger(size)) return size
  throw new TlogError("UNSUPPORTED", `a tree of ${text} entries is larger than this version can hold`)
}
