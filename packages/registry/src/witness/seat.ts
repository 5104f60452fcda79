/** How it stands with one witness of the policy: what it did last, and when it is to be asked again. */
import { type Backoff, backoffMs } from "@weighlock/node"
import type { Hash, PolicyWitness } from "@weighlock/tlog"

import { type AskedWitness, type Cosigned, type Target, WitnessFault, type WitnessState } from "./asked-witness.ts"

export interface WitnessStatus {
  /** The policy's name for it. */
  readonly name: string
  readonly vkey: string
  /** `null`: it can't be asked. */
  readonly url: string | null
  readonly state: WitnessState
  /** Size and POSIX time of its newest cosignature. */
  readonly size: number | null
  readonly time: number | null
  /** In a row. */
  readonly failures: number
  readonly error: string | null
}

/** How long a witness rests after so many faults in a row. */
const rest: Backoff = { firstMs: 1000, factor: 2, longestMs: 60_000 }

export class Seat {
  /** The request under way. */
  busy: Promise<void> | null = null
  readonly #witness: PolicyWitness
  readonly #asked: AskedWitness | null
  #state: WitnessState = "unasked"
  #newest: { size: number; time: number } | null = null
  #failures = 0
  #restMs = 0
  #error: string | null = null
  /** ms, when it answered or failed last. */
  #at = 0

  constructor(witness: PolicyWitness, asked: AskedWitness | null) {
    this.#witness = witness
    this.#asked = asked
  }

  /** When to ask it for a checkpoint of `size`, in ms of the same clock; infinity while it is busy or has no URL. */
  dueAt(size: number, refresh: number): number {
    if (this.busy !== null || this.#asked === null) return Number.POSITIVE_INFINITY
    if (this.#failures > 0) return this.#at + this.#restMs
    return this.#newest?.size === size ? this.#at + refresh : 0
  }

  async cosign(target: Target, consistency: (from: number, to: number) => Promise<readonly Hash[]>): Promise<Cosigned> {
    if (this.#asked === null) throw new WitnessFault("unasked", "has no URL")
    return await this.#asked.cosign(target, consistency)
  }

  /** The newest checkpoint of the log that it shows to everybody; `null` without one, and when it can't be asked. */
  async shown(origin: string): Promise<string | null> {
    return (await this.#asked?.shown(origin)) ?? null
  }

  /** Whether that is a change. */
  took({ size }: Target, time: number, at: number): boolean {
    this.#newest = { size, time }
    this.#failures = 0
    this.#error = null
    return this.#now("cosigned", at)
  }

  /** Whether that is a change. */
  failed(error: unknown, at: number): boolean {
    this.#failures += 1
    this.#restMs = backoffMs(this.#failures, rest)
    this.#error = error instanceof Error ? error.message : String(error)
    return this.#now(error instanceof WitnessFault ? error.state : "failing", at)
  }

  status(): WitnessStatus {
    const { name, vkey } = this.#witness
    const { size = null, time = null } = this.#newest ?? {}
    const url = this.#asked?.url.href ?? null
    return { name, vkey, url, state: this.#state, size, time, failures: this.#failures, error: this.#error }
  }

  #now(state: WitnessState, at: number): boolean {
    const changed = state !== this.#state
    this.#state = state
    this.#at = at
    return changed
  }
}
