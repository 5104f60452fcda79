/**
 * Copies the WAL back into the database in a thread of its own. SQLite would do it within a commit, and hold the event loop
 * for some 30 ms five times a second under load; what is left for it then is what came during the last copy.
 *
 *     commits ── 1,000 entries ── 1,000 entries ── …           the writer goes on
 *                     └─ copy, fsync ─┘└─ copy, fsync ─┘       the thread
 */
import { Worker } from "node:worker_threads"

import { RegistryError } from "../errors.ts"

/** Entries between two copies: some 4,000 pages. Fewer never start the thread. */
const between = 1000

export class WalCopier {
  readonly #path: string
  readonly #onFailed: (error: RegistryError) => void
  #worker: Worker | null = null
  #written = 0
  #busy = false

  /** `onFailed`: told when a copy failed. Must end the process: the disk did not do as told. */
  constructor(path: string, onFailed: (error: RegistryError) => void) {
    this.#path = path
    this.#onFailed = onFailed
  }

  /** After a commit of so many entries. */
  wrote(entries: number): void {
    this.#written += entries
    if (this.#written < between || this.#busy) return
    this.#written = 0
    this.#busy = true
    this.#worker ??= this.#start()
    this.#worker.postMessage("copy")
  }

  #start(): Worker {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js" // tsc does not rewrite this name
    const worker = new Worker(new URL(`./wal-worker.${extension}`, import.meta.url), { workerData: this.#path })
    worker.on("message", () => (this.#busy = false))
    worker.on("error", (cause) => {
      this.#onFailed(new RegistryError("STORE_FAILED", "the ledger's WAL could not be copied into it", { cause }))
    })
    return worker
  }

  /** Ends the copy under way, and the thread. */
  async close(): Promise<void> {
    const worker = this.#worker
    if (!worker) return
    this.#worker = null
    const ended = new Promise((resolve) => worker.once("exit", resolve))
    worker.postMessage("close")
    await ended
  }
}
