/**
 * A proof that an entry is in a log, verifiable offline (c2sp.org/tlog-proof):
 *
 *     c2sp.org/tlog-proof@v1
 *     index 2
 *     bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=
 *
 *     models.acme.example/log
 *     3
 *     nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=
 *
 *     — models.acme.example/log obLD1A…
 *
 * After the header and an optional `extra <base64>` (opaque, authenticated by nothing): the entry's index, the inclusion
 * proof from the leaf's sibling up, an empty line, and the signed checkpoint exactly as the log published it.
 * Parsing checks the form only. To believe it: open the checkpoint, then `verifyInclusion`.
 */
import { parseCheckpoint, parseSize } from "./checkpoint.ts"
import { decodeBase64, encodeBase64 } from "./encoding.ts"
import { malformed, requireCount } from "./errors.ts"
import { type Hash, hashLength } from "./hash.ts"
import { noteLimits, parseNote } from "./note.ts"

export interface Proof {
  /** Opaque and authenticated by nothing; never empty. */
  readonly extra?: Uint8Array
  readonly index: number
  readonly hashes: readonly Hash[]
  /** The signed note, exact. */
  readonly checkpoint: string
}

/** No tree of up to 2^64 entries needs more hashes. */
const maximumProofHashes = 64
/** Bytes. */
const maximumProofExtra = 65_536

const header = "c2sp.org/tlog-proof@v1"

/** `MALFORMED` for what would not parse back. */
export function formatProof({ extra, index, hashes, checkpoint }: Proof): string {
  requireCount(index, "entry index")
  if (extra !== undefined && (extra.length === 0 || extra.length > maximumProofExtra)) {
    throw malformed(`extra data of ${extra.length} bytes`)
  }
  if (hashes.length > maximumProofHashes) throw malformed(`a proof of ${hashes.length} hashes`)
  if (hashes.some((hash) => hash.length !== hashLength)) throw malformed("a hash has 32 bytes")
  requireCheckpoint(checkpoint)
  const lines = [header, ...(extra === undefined ? [] : [`extra ${encodeBase64(extra)}`]), `index ${index}`]
  return `${[...lines, ...hashes.map(encodeBase64)].join("\n")}\n\n${checkpoint}`
}

/** `MALFORMED` unless `text` is the one spelling of a proof; `UNSUPPORTED` for an index beyond 2^53 - 1. */
export function parseProof(text: string): Proof {
  const [head, checkpoint] = splitAtEmptyLine(text)
  const lines = head.split("\n")
  if (lines.shift() !== header) throw malformed(`a proof begins with the line ${header}`)
  const extra = lines[0]?.startsWith("extra ") === true ? parseExtra(lines.shift() ?? "") : undefined
  const index = parseIndex(lines.shift() ?? "")
  const proof = { ...(extra === undefined ? {} : { extra }), index, hashes: lines.map(parseHash), checkpoint }
  if (formatProof(proof) !== text) throw malformed("not the one spelling of a proof")
  return proof
}

// What is longer is no proof and not even looked through for an empty line.
const maximumHead = 128 + Math.ceil(maximumProofExtra / 3) * 4 + maximumProofHashes * 45

function splitAtEmptyLine(text: string): [head: string, checkpoint: string] {
  if (text.length > maximumHead + noteLimits.bytes) throw malformed(`a proof of ${text.length} characters`)
  const end = text.indexOf("\n\n")
  if (end < 0) throw malformed("a proof without a checkpoint")
  return [text.slice(0, end), text.slice(end + 2)]
}

function parseExtra(line: string): Uint8Array {
  const extra = decodeBase64(line.slice("extra ".length))
  if (extra === null) throw malformed("a proof's extra data is not canonical base64")
  return extra
}

function parseIndex(line: string): number {
  if (!line.startsWith("index ")) throw malformed("a proof needs the line: index <decimal>")
  return parseSize(line.slice("index ".length))
}

function parseHash(line: string): Hash {
  const hash = line.length === 44 ? decodeBase64(line) : null
  if (hash?.length !== hashLength) throw malformed("a proof's hash is not 32 bytes of canonical base64")
  return hash
}

// A log answers many proofs under one checkpoint: the last one that held need not be parsed again.
let lastCheckpoint: string | null = null

function requireCheckpoint(checkpoint: string): void {
  if (checkpoint === lastCheckpoint) return
  parseCheckpoint(parseNote(checkpoint).text)
  lastCheckpoint = checkpoint
}
