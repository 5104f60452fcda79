/**
 * Asks the trust root's witnesses to cosign the newest checkpoint, at most once a second.
 *
 *     second 0   size 1040   -> W1 cosigned, W2 cosigned      quorum: readers may be shown 1040
 *     second 1   size 1067   -> W1 cosigned, W2 still busy
 *     second 2   size 1093   -> …
 *
 * All idle witnesses are asked for the same checkpoint, as a quorum is about one. A witness gets one request at a time, and
 * rest after a fault, longer each time. A log that does not grow is cosigned again every minute: freshness is dated.
 */
import { HttpClient, SerialQueue } from "@weighlock/node"
import type { Hash, Policy } from "@weighlock/tlog"
import type { Logger } from "pino"

import { RegistryError } from "../errors.ts"
import {
  AskedWitness,
  type Cosigned,
  type Target,
  WitnessFault,
  type WitnessState,
  addCheckpointUrl,
} from "./asked-witness.ts"
import { type CosignedCheckpoint, Gathering } from "./gathering.ts"
import { Seat, type WitnessStatus } from "./seat.ts"

export interface CollectorOptions {
  readonly log: { readonly origin: string; readonly policy: Policy }
  /** Instead of, or in absence of, the URL in the policy; by the policy's name for the witness. */
  readonly urls?: Readonly<Record<string, string>>
  /** The newest committed checkpoint. */
  newest(): Target
  consistency(from: number, to: number): Promise<readonly Hash[]>
  /** Keeps a verified cosignature. Called one after the other. */
  store(cosigned: CosignedCheckpoint): Promise<void>
  /**
   * What a witness shows as the newest checkpoint of the log, when it is ahead of us or refuses: how the log's own signature
   * shows that this log is not the one it cosigned; `null` when it does not show that.
   */
  disproof?(note: string): Promise<string | null>
  /** Told of such a proof: nothing more must be signed. */
  onDisproved?(proof: string): void
  readonly logger?: Pick<Logger, "info" | "warn">
  /** ms of a clock that never goes back. */
  readonly now?: () => number
  /** Of one request, in ms. */
  readonly timeout?: number
  /** ms after which a checkpoint is cosigned again. */
  readonly refresh?: number
}

export interface CollectorStatus {
  /** The newest checkpoint that met the quorum since the start; freshness in POSIX seconds. */
  readonly quorum: { readonly size: number; readonly freshness: number } | null
  /** ms for which the newest checkpoint has not met the quorum; 0 when it has, or none is asked for. */
  readonly waiting: number
  readonly witnesses: readonly WitnessStatus[]
}

const pace = 1000
const answerCap = 64 * 1024
/** What a witness answers that has cosigned another history of this log. */
const proving: ReadonlySet<WitnessState> = new Set<WitnessState>(["ahead", "refused"])

export class WitnessCollector {
  readonly #options: CollectorOptions
  readonly #now: () => number
  readonly #refresh: number
  readonly #http: HttpClient
  readonly #seats: readonly Seat[]
  readonly #gathering: Gathering
  readonly #recording = new SerialQueue()
  #quorum: { size: number; freshness: number } | null = null
  /** When the newest checkpoint that lacks the quorum was there at the latest. */
  #waitingSince: number | null = null
  #timer: NodeJS.Timeout | null = null
  #wakesAt = Number.POSITIVE_INFINITY
  #lastRound = Number.NEGATIVE_INFINITY
  #closed = false

  /** Throws USAGE for a URL that is none, and for one of a witness that the policy does not name. */
  constructor(options: CollectorOptions) {
    this.#options = options
    this.#now = options.now ?? performance.now.bind(performance)
    this.#refresh = options.refresh ?? 60_000
    this.#http = new HttpClient({ totalMs: options.timeout ?? 2000, maxBytes: answerCap })
    this.#seats = seatsFor(options, this.#http)
    this.#gathering = new Gathering(options.log.policy)
  }

  /** Asks every witness what it shows, before anything is signed; the first proof that the log is not that one, or `null`. */
  async disproof(): Promise<string | null> {
    const proofs = await Promise.all(this.#seats.map((seat) => this.#disproofBy(seat)))
    return proofs.find((proof) => proof !== null) ?? null
  }

  /** A witness that can't be asked proves nothing. */
  async #disproofBy(seat: Seat): Promise<string | null> {
    const note = await seat.shown(this.#options.log.origin).catch(() => null)
    const proof = note === null ? null : ((await this.#options.disproof?.(note)) ?? null)
    return proof === null ? null : `the witness ${seat.status().name} shows that ${proof}`
  }

  /** There is a checkpoint to cosign: call it at the start and for every one that was committed. */
  poke(): void {
    this.#waitingSince ??= this.#now()
    this.#wakeAt(this.#now())
  }

  status(): CollectorStatus {
    const { policy } = this.#options.log
    const lacking = policy.quorum !== null && this.#waitingSince !== null
    return {
      quorum: this.#quorum,
      waiting: lacking ? this.#now() - (this.#waitingSince ?? 0) : 0,
      witnesses: this.#seats.map((seat) => seat.status()),
    }
  }

  /** What is under way is given up; what was verified is stored. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#http.close()
    await Promise.all(this.#seats.map((seat) => seat.busy ?? Promise.resolve()))
  }

  #wakeAt(time: number): void {
    const at = Math.max(time, this.#lastRound + pace)
    if (this.#closed || at >= this.#wakesAt) return
    if (this.#timer) clearTimeout(this.#timer)
    this.#wakesAt = at
    this.#timer = setTimeout(() => this.#round(), Math.max(0, at - this.#now()))
    this.#timer.unref()
  }

  #round(): void {
    this.#wakesAt = Number.POSITIVE_INFINITY
    const now = this.#now()
    const target = this.#gathering.bare(this.#options.newest())
    for (const seat of this.#seats) {
      if (seat.dueAt(target.size, this.#refresh) > now) continue
      this.#lastRound = now
      seat.busy = this.#ask(seat, target, now)
    }
    this.#wakeNext()
  }

  #wakeNext(): void {
    const { size } = this.#options.newest()
    const next = Math.min(...this.#seats.map((seat) => seat.dueAt(size, this.#refresh)))
    if (Number.isFinite(next)) this.#wakeAt(next)
  }

  async #ask(seat: Seat, target: Target, asked: number): Promise<void> {
    const { logger } = this.#options
    try {
      const cosigned = await seat.cosign(target, (from, to) => this.#options.consistency(from, to))
      if (seat.took(target, cosigned.time, this.#now())) logger?.info(seat.status(), "a witness cosigns")
      await this.#store(seat.status().vkey, target, cosigned, asked)
    } catch (error) {
      // Once per change: a witness that is down for a day is not a line a minute.
      if (seat.failed(error, this.#now()) && !this.#closed) logger?.warn(seat.status(), "a witness does not cosign")
      if (error instanceof WitnessFault && proving.has(error.state)) await this.#judge(seat)
    }
    seat.busy = null
    this.#wakeNext()
  }

  /** It may lie, or be broken: only what the log's own key signed counts. */
  async #judge(seat: Seat): Promise<void> {
    try {
      const proof = await this.#disproofBy(seat)
      if (proof !== null && !this.#closed) this.#options.onDisproved?.(proof)
    } catch (error) {
      this.#options.logger?.warn({ err: error }, "what a witness shows could not be compared")
    }
  }

  /** One after the other, so that what is stored later holds all that was stored before. */
  async #store(vkey: string, target: Target, cosigned: Cosigned, asked: number): Promise<void> {
    try {
      await this.#recording.run(async () => {
        const checkpoint = this.#gathering.add(target, vkey, cosigned)
        await this.#options.store(checkpoint)
        this.#stored(checkpoint, asked)
      })
    } catch (error) {
      this.#options.logger?.warn({ err: error, size: target.size }, "a cosignature was not stored")
    }
  }

  #stored({ size, quorum, freshness }: CosignedCheckpoint, asked: number): void {
    if (!quorum || size < (this.#quorum?.size ?? 0)) return
    this.#quorum = { size, freshness: freshness ?? 0 }
    // What is newest by now was committed after this one was asked for.
    this.#waitingSince = this.#options.newest().size === size ? null : asked
  }
}

function seatsFor({ log, urls = {} }: CollectorOptions, http: HttpClient): Seat[] {
  const names = new Set(log.policy.witnesses.map(({ name }) => name))
  const stranger = Object.keys(urls).find((name) => !names.has(name))
  if (stranger !== undefined) {
    throw new RegistryError("USAGE", `${JSON.stringify(stranger)} is no witness of the trust root's policy`)
  }
  return log.policy.witnesses.map((witness) => {
    const url = Object.hasOwn(urls, witness.name) ? urls[witness.name] : witness.url
    return new Seat(witness, url === undefined ? null : new AskedWitness(witness, addCheckpointUrl(url), http))
  })
}
