/** Keeps a static copy of the log up to date, at most once a second: a burst of commits is one step of it. */
import { setTimeout } from "node:timers/promises"

import type { Logger } from "pino"

import { RegistryError } from "../errors.ts"
import type { Log } from "./log.ts"
import type { StaticLog } from "./publish-static.ts"

const pause = 1000

export class Publisher {
  readonly #log: Log
  readonly #folder: StaticLog
  readonly #logger: Logger
  readonly #onFailed: (error: RegistryError) => void
  #running: Promise<void> | null = null
  #again = false
  readonly #closing = new AbortController()

  /** `onFailed`: told of a file that was published with another content. Must end the process. */
  constructor(log: Log, folder: StaticLog, logger: Logger, onFailed: (error: RegistryError) => void) {
    this.#log = log
    this.#folder = folder
    this.#logger = logger
    this.#onFailed = onFailed
    log.onShown(() => this.poke())
    this.poke()
  }

  /** Entries that the folder is behind. */
  get behind(): number {
    return Math.max(0, this.#log.served.shown.size - this.#folder.size)
  }

  poke(): void {
    this.#again = true
    this.#running ??= this.#run().finally(() => (this.#running = null))
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false
      await this.#publish()
      await setTimeout(pause, undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined)
    }
  }

  /** A folder that can't be written to is behind, which /metrics shows, and tried again; the log itself goes on. */
  async #publish(): Promise<void> {
    try {
      await this.#folder.publish(this.#log.served.shown)
    } catch (cause) {
      if (cause instanceof RegistryError && cause.code === "STORE_FAILED") return this.#onFailed(cause)
      this.#again = !this.#closing.signal.aborted
      this.#logger.error({ err: cause }, "the log could not be published to its folder")
    }
  }

  /** Publishes what is new, and ends. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
    await this.#publish()
  }
}
