/**
 * The checkpoints that readers are shown: the newest, and the newest that enough witnesses have seen.
 *
 *     size 1042   log's own signature                     newest
 *     size 1040   the log's and two cosignatures          newest that meets the quorum
 *
 * Without witnesses in the trust root's policy both are the same.
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
  /** When it was published by this process, ms since epoch. */
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

/** `require`: readers are shown what meets the quorum, as soon as anything does. `degrade`: always the newest. */
export type WitnessMode = "require" | "degrade"

export class Served {
  readonly mode: WitnessMode
  /** Whether the trust root's policy asks for witnesses. */
  readonly asked: boolean
  #newest: ServedCheckpoint
  #witnessed: ServedCheckpoint | null

  constructor(mode: WitnessMode, asked: boolean, newest: ServedCheckpoint, witnessed: ServedCheckpoint | null) {
    this.mode = mode
    this.asked = asked
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
    return this.mode === "require" ? (this.witnessed ?? this.#newest) : this.#newest
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

/** As the ledger remembers it: the last checkpoint, and the last that met the quorum. */
export async function restoreServed(
  ledger: LogStore,
  { policy: policyText, ...log }: TrustRoot["log"],
  mode: WitnessMode,
  last: { readonly size: number; readonly root: Uint8Array },
  at: number,
): Promise<Served> {
  const policy = parseWitnessPolicy(policyText)
  const newest = { ...last, at, note: await cosignedNote(ledger, last.size) }
  if (policy.quorum === null) return new Served(mode, false, newest, null)
  for (const size of await ledger.cosignedSizes(remembered)) {
    const note = await cosignedNote(ledger, size)
    if (meetsQuorum(note, { ...log, policy }))
      return new Served(mode, true, newest, { size, root: rootOf(note), note, at })
  }
  return new Served(mode, true, newest, null)
}

function meetsQuorum(note: string, log: WitnessedLog): boolean {
  try {
    return openWitnessed(note, log).quorum
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
  return lines === "" ? note : addSignatures(note, parseSignatureLines(lines))
}
