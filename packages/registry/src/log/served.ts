/**
 * The checkpoints that readers are shown: the newest, and the newest that enough witnesses have seen.
 *
 *     size 1042   log's own signature                     newest
 *     size 1040   the log's and two cosignatures          newest that meets the quorum
 *
 * Without witnesses in the trust root's policy both are the same. What was shown never goes back, not over a restart either:
 * readers remember it.
 */
import type { TrustRoot } from "@weighlock/manifest"
import {
  type WitnessedLog,
  addSignatures,
  openWitnessed,
  parseCheckpoint,
  parseNote,
  parseSignatureLines,
  parseWitnessPolicy,
} from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import type { LogStore } from "../store/ledger.ts"

export interface ServedCheckpoint {
  readonly size: number
  readonly root: Uint8Array
  /** The signed note with every cosignature known, exact. */
  readonly note: string
  /** When it was published, ms since epoch. */
  readonly at: number
}

/** What a witness has signed, as its collector tells. */
export interface Cosigned {
  readonly size: number
  readonly vkey: string
  /** The signature line of the note, with its line feed. */
  readonly line: string
  /** The note of that size with every cosignature so far, this one too. */
  readonly note: string
  /** Whether those meet the quorum of the trust root's policy. */
  readonly quorum: boolean
}

/** `require`: readers are shown what meets the quorum, and before anything does, how the log began. `degrade`: the newest. */
export type WitnessMode = "require" | "degrade"

export class Served {
  readonly mode: WitnessMode
  /** Whether the trust root's policy asks for witnesses. */
  readonly asked: boolean
  /** Readers may have seen this one: with `require` it is shown until one that meets the quorum is as large. */
  readonly #floor: ServedCheckpoint
  #newest: ServedCheckpoint
  #witnessed: ServedCheckpoint | null

  constructor(
    mode: WitnessMode,
    asked: boolean,
    newest: ServedCheckpoint,
    witnessed: ServedCheckpoint | null,
    floor: ServedCheckpoint = newest,
  ) {
    this.mode = mode
    this.asked = asked
    this.#floor = floor
    this.#newest = newest
    this.#witnessed = witnessed
  }

  get newest(): ServedCheckpoint {
    return this.#newest
  }

  /** The newest that meets the quorum; `null` when none did. */
  get witnessed(): ServedCheckpoint | null {
    return this.asked ? this.#witnessed : this.#newest
  }

  /** What /log/checkpoint answers. */
  get shown(): ServedCheckpoint {
    if (this.mode === "degrade") return this.#newest
    return this.#isCaughtUp(this.witnessed) ? this.witnessed : this.#floor
  }

  /** Whether witnesses have signed all that readers were shown. */
  get caughtUp(): boolean {
    return this.#isCaughtUp(this.witnessed)
  }

  #isCaughtUp(witnessed: ServedCheckpoint | null): witnessed is ServedCheckpoint {
    return witnessed !== null && witnessed.size >= this.#floor.size
  }

  /** Under which checkpoint an entry is proven: a client that asks for witnesses can do nothing with another. */
  covering(index: number): ServedCheckpoint {
    const witnessed = this.witnessed
    return witnessed && index < witnessed.size ? witnessed : this.#newest
  }

  publish(next: ServedCheckpoint): void {
    this.#newest = next
  }

  cosigned({ size, note, quorum }: Cosigned): void {
    if (size === this.#newest.size) this.#newest = { ...this.#newest, note }
    if (quorum && size >= (this.#witnessed?.size ?? 0)) {
      this.#witnessed = { size, root: rootOf(note), note, at: this.#newest.at }
    }
  }
}

const rootOf = (note: string): Uint8Array => parseCheckpoint(parseNote(note).text).root

/** How many cosigned sizes are looked through for one that met the quorum. */
const remembered = 1000

export interface RestoreServed {
  readonly ledger: LogStore
  readonly log: TrustRoot["log"]
  readonly mode: WitnessMode
  readonly head: { readonly size: number; readonly root: Uint8Array }
  /** When that was published, ms since epoch. */
  readonly at: number
  /** Readers may have been shown what no quorum has signed, up to the newest. */
  readonly shownNewest: boolean
}

/** As the ledger remembers it: the last checkpoint, and the last that met the quorum. */
export async function restoreServed({ ledger, log, mode, head, at, shownNewest }: RestoreServed): Promise<Served> {
  const policy = parseWitnessPolicy(log.policy)
  const newest = { size: head.size, root: head.root, at, note: await cosignedNote(ledger, head.size) }
  if (policy.quorum === null) return new Served(mode, false, newest, null)
  const floor = shownNewest ? newest : await servedAt(ledger, (await ledger.firstCheckpoint()) ?? head.size, at)
  for (const size of await ledger.cosignedSizes(remembered)) {
    const witnessed = await servedAt(ledger, size, at)
    if (meetsQuorum(witnessed.note, { ...log, policy })) return new Served(mode, true, newest, witnessed, floor)
  }
  return new Served(mode, true, newest, null, floor)
}

async function servedAt(ledger: LogStore, size: number, at: number): Promise<ServedCheckpoint> {
  const note = await cosignedNote(ledger, size)
  return { size, root: rootOf(note), note, at }
}

function meetsQuorum(note: string, log: WitnessedLog): boolean {
  return asKept(() => openWitnessed(note, log).quorum)
}

function asKept<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw new RegistryError("STORE_FAILED", "a cosignature in the ledger is not what the witness signed", {
      cause,
      hint: "`weighlock registry fsck` says which",
    })
  }
}

async function cosignedNote(ledger: LogStore, size: number): Promise<string> {
  const note = await ledger.checkpoint(size)
  if (note === null) throw new RegistryError("STORE_FAILED", `no checkpoint was kept for the size ${size}`)
  const lines = (await ledger.cosignatures(size)).map(({ line }) => line).join("")
  return lines === "" ? note : asKept(() => addSignatures(note, parseSignatureLines(lines)))
}
