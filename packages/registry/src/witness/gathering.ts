/**
 * Cosignatures as they come in, by checkpoint, and whether they are enough.
 *
 *     1040   W1 at 12:00:03, W2 at 12:00:04      quorum "all W1 W2": met, fresh as of 12:00:03
 *     1067   W1 at 12:00:05                      not yet
 */
import {
  type Policy,
  addSignatures,
  formatNote,
  formatSignatureLines,
  judgeQuorum,
  parseNote,
  parseVkey,
} from "@weighlock/tlog"

import type { Cosigned, Target } from "./asked-witness.ts"

export interface CosignedCheckpoint {
  readonly size: number
  readonly vkey: string
  /** The signature line, with its line feed. */
  readonly line: string
  /** The checkpoint of that size with the newest cosignature of every witness so far. */
  readonly note: string
  readonly quorum: boolean
  /** POSIX seconds; `null` without a quorum. */
  readonly freshness: number | null
}

/** Checkpoints for which an answer may still come: a witness that took longer has timed out. */
const remembered = 8

export class Gathering {
  readonly #policy: Policy
  readonly #bySize = new Map<number, ReadonlyMap<string, Cosigned>>()

  constructor(policy: Policy) {
    this.#policy = policy
  }

  /** The checkpoint without cosignatures: those in it may be older than what is gathered. */
  bare({ size, note }: Target): Target {
    const witnesses = this.#policy.witnesses.map(({ vkey }) => parseVkey(vkey))
    const { text, signatures } = parseNote(note)
    const others = signatures.filter((each) => !witnesses.some((key) => key?.name === each.name && key.id === each.id))
    return { size, note: formatNote({ text, signatures: others }) }
  }

  /** `target` is bare. Throws when a note can't hold as much: what was gathered so far stays as it is. */
  add(target: Target, vkey: string, cosigned: Cosigned): CosignedCheckpoint {
    const all = new Map(this.#bySize.get(target.size)).set(vkey, cosigned)
    const times = new Map([...all].map(([key, { time }]) => [key, time] as const))
    const { met, freshness } = judgeQuorum(this.#policy, times)
    const signatures = [...all.values()].map(({ signature }) => signature)
    const note = addSignatures(target.note, signatures)
    this.#keep(target.size, all)
    return {
      size: target.size,
      vkey,
      line: formatSignatureLines([cosigned.signature]),
      note,
      quorum: met,
      freshness,
    }
  }

  #keep(size: number, all: ReadonlyMap<string, Cosigned>): void {
    const [oldest] = this.#bySize.keys()
    if (!this.#bySize.has(size) && this.#bySize.size >= remembered && oldest !== undefined) this.#bySize.delete(oldest)
    this.#bySize.set(size, all)
  }
}
