/**
 * What a log and its witnesses say to each other (c2sp.org/tlog-witness). The log asks with POST …/add-checkpoint:
 *
 *     old 40
 *     PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=           the consistency proof from 40 to 42, at most 63 hashes
 *
 *     models.acme.example/log
 *     42
 *     …                                                      the signed checkpoint
 *
 * and the witness answers with signature lines, or with 409 and the size it has seen ("41\n", text/x.tlog.size).
 */
import { parseSize } from "./checkpoint.ts"
import { decodeBase64, encodeBase64 } from "./encoding.ts"
import { TlogError } from "./errors.ts"
import type { Hash } from "./hash.ts"
import { noteLimits } from "./note.ts"

export const tlogSizeType = "text/x.tlog.size"

export const witnessLimits: { readonly proof: number; readonly bytes: number } = {
  proof: 63,
  bytes: noteLimits.bytes + 64 * 45,
}

export interface AddCheckpoint {
  readonly oldSize: number
  /** From `oldSize` to the checkpoint's size. */
  readonly proof: readonly Hash[]
  /** The signed note, unread. */
  readonly checkpoint: string
}

/** Form only; the checkpoint is neither parsed nor verified. Throws MALFORMED or UNSUPPORTED. */
export function parseAddCheckpoint(body: string): AddCheckpoint {
  const blank = body.indexOf("\n\n")
  if (blank < 0 || body.length > witnessLimits.bytes) throw malformed("has no empty line, or is too long")
  const [old = "", ...lines] = body.slice(0, blank).split("\n")
  if (!old.startsWith("old ")) throw malformed("does not begin with an old size")
  if (lines.length > witnessLimits.proof) throw malformed(`proves with more than ${witnessLimits.proof} hashes`)
  return { oldSize: parseSize(old.slice(4)), proof: lines.map(parseHash), checkpoint: body.slice(blank + 2) }
}

export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  const body = [`old ${oldSize}`, ...proof.map(encodeBase64), "", checkpoint].join("\n")
  parseAddCheckpoint(body)
  return body
}

/** The body of a 409: the size of the newest checkpoint that the witness has cosigned. Throws MALFORMED or UNSUPPORTED. */
export function parseTlogSize(body: string): number {
  if (!body.endsWith("\n")) throw malformed("is answered with a size that does not end in a line feed")
  return parseSize(body.slice(0, -1))
}

export function formatTlogSize(size: number): string {
  return `${size}\n`
}

function parseHash(line: string): Hash {
  const hash = decodeBase64(line)
  if (hash?.length !== 32) throw malformed(`proves with what is no hash: ${JSON.stringify(line.slice(0, 100))}`)
  return hash
}

function malformed(what: string): TlogError {
  return new TlogError("MALFORMED", `an add-checkpoint request ${what}`)
}
