/**
 * The independent checker. From a journal of what was answered and the log as it is now it proves:
 *
 *     nothing acknowledged is lost   every acknowledged entry stands at its index, byte for byte, and its proof holds
 *     history never forks            every checkpoint ever collected is signed and has the root of exactly these entries
 *
 * All collected checkpoints being prefixes of one list of entries, any two of them are consistent and no size has two roots.
 * It imports nothing of the product.
 */
import type { Line } from "./journal.ts"
import { type Hash, hashEntry, rootOfProof, Tree } from "./merkle.ts"
import { type LogKey, openCheckpoint } from "./note.ts"
import type { ServedLog } from "./served-log.ts"

export interface Verdict {
  readonly size: number
  readonly acknowledged: number
  readonly checkpoints: number
}

interface Proof {
  readonly index: number
  readonly hashes: readonly Buffer[]
  readonly checkpoint: string
}

/** tlog-proof: a line with the version, maybe one with extra data, the index, hashes, an empty line, the note. */
export function readProof(text: string): Proof {
  const end = text.indexOf("\n\n")
  const lines = text.slice(0, end).split("\n")
  const at = lines.findIndex((line) => line.startsWith("index "))
  if (lines[0] !== "c2sp.org/tlog-proof@v1" || at < 1) throw new Error(`not a proof: ${text}`)
  const hashes = lines.slice(at + 1).map((line) => Buffer.from(line, "base64"))
  return { index: Number(lines[at]?.slice(6)), hashes, checkpoint: text.slice(end + 2) }
}

/** Everything is judged against the first entries it was shown: what changes later is found, whoever changed it. */
export class Checker {
  readonly #key: LogKey
  readonly #tree = new Tree()
  /** Leaf hash of each entry. */
  readonly #leaves: Hash[] = []
  /** Root of each size, from 0. */
  readonly #roots: Hash[] = [this.#tree.root()]
  readonly #notes = new Set<string>()
  #acknowledged = 0

  constructor(key: LogKey) {
    this.#key = key
  }

  get verdict(): Verdict {
    return { size: this.#leaves.length, acknowledged: this.#acknowledged, checkpoints: this.#notes.size }
  }

  /** The log as it is served now, or its end. Throws with what is wrong first, as all of these. */
  take({ from, entries, checkpoint }: ServedLog): void {
    const [size, known] = [from + entries.length, this.#leaves.length]
    if (from > known) throw new Error(`read from ${from}, known up to ${known}`)
    if (size < known) throw new Error(`the log had ${known} entries, now ${size}`)
    for (const [i, entry] of entries.entries()) this.#takeEntry(from + i, entry)
    this.checkpoint(checkpoint)
  }

  #takeEntry(index: number, entry: Uint8Array): void {
    const hash = hashEntry(entry).toString("hex")
    const first = this.#leaves[index]
    if (first !== undefined && first !== hash) throw new Error(`entry ${index} is not what it was`)
    if (first !== undefined) return
    this.#tree.append(entry)
    this.#leaves.push(hash)
    this.#roots.push(this.#tree.root())
  }

  checkpoint(note: string): void {
    if (this.#notes.has(note)) return
    const { size, root } = openCheckpoint(note, this.#key)
    if (size > this.#leaves.length) {
      throw new Error(`a checkpoint of ${size} was given out, the log has ${this.#leaves.length} entries`)
    }
    const own = this.#roots[size]
    if (own !== root) throw new Error(`two roots at ${size}: ${root} was signed, the entries make ${own}`)
    this.#notes.add(note)
  }

  line(line: Line): void {
    if ("checkpoint" in line) return this.checkpoint(line.checkpoint)
    const { index, hashes, checkpoint } = readProof(line.proof)
    const entry = Buffer.from(line.entry, "base64")
    const found = this.#leaves[index]
    if (found === undefined) {
      throw new Error(`${line.version} was acknowledged at ${index}, the log has ${this.#leaves.length} entries`)
    }
    if (found !== hashEntry(entry).toString("hex")) {
      throw new Error(`${line.version} was acknowledged at ${index}, something else is there`)
    }
    this.checkpoint(checkpoint)
    const { size, root } = openCheckpoint(checkpoint, this.#key)
    if (rootOfProof(entry, index, size, hashes) !== root) throw new Error(`${line.version}: its proof does not hold`)
    this.#acknowledged += 1
  }
}

/** All at once. */
export function checkLog(log: ServedLog, lines: readonly Line[], key: LogKey): Verdict {
  const checker = new Checker(key)
  checker.take(log)
  for (const line of lines) checker.line(line)
  return checker.verdict
}
