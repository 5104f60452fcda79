/**
 * The thread that writes the ledger, as the event loop sees it: one write after the other, in the order of asking, while
 * requests are read and answered.
 *
 *     event loop   facts, plan ──┐             ┌── answers        reads on a connection of its own
 *     thread                     └─ COMMIT … ──┘── WAL copied back
 */
import { Worker } from "node:worker_threads"

import { RegistryError, type RegistryErrorCode } from "../errors.ts"
import type { LedgerWrites } from "./ledger-writes.ts"
import type { BlobFacts, Cosignature, LogCommit, LogHead } from "./ledger.ts"
import { type PackedCommit, packCommit } from "./packed-commit.ts"

type Writes = Omit<LedgerWrites, "commit"> & { commit(commit: PackedCommit): void; close(): void }

/** A method of `LedgerWrites` to call. */
export type WriteOrder = {
  readonly [Name in keyof Writes]: { readonly name: Name; readonly args: Parameters<Writes[Name]> }
}[keyof Writes]

/** Replies come in the order of their orders. */
export type WriteReply = { readonly result: unknown } | { readonly refused: Refused }

/** An error of the thread: `isOurs` when it is a `RegistryError`. */
export interface Refused {
  readonly isOurs: boolean
  readonly code: string
  readonly message: string
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

export class LedgerWriter {
  readonly #path: string
  #waiting: Waiting[] = []
  #worker: Worker | null = null
  /** Why there are no more writes. */
  #ended: RegistryError | null = null
  #closing: Promise<void> | null = null

  constructor(path: string) {
    this.#path = path
  }

  fence(): Promise<LogHead> {
    return this.#ask({ name: "fence", args: [] }) as Promise<LogHead>
  }

  async commit(commit: LogCommit): Promise<void> {
    const packed = packCommit(commit)
    await this.#ask({ name: "commit", args: [packed] }, [packed.bytes])
  }

  recordBlobs(batch: readonly BlobFacts[]): Promise<readonly BlobFacts[]> {
    return this.#ask({ name: "recordBlobs", args: [batch] }) as Promise<readonly BlobFacts[]>
  }

  forgetBlobs(before: number): Promise<readonly string[]> {
    return this.#ask({ name: "forgetBlobs", args: [before] }) as Promise<readonly string[]>
  }

  async noteUnrecorded(digests: readonly string[]): Promise<void> {
    await this.#ask({ name: "noteUnrecorded", args: [digests] })
  }

  async dropNotes(digests: readonly string[], before: number): Promise<void> {
    await this.#ask({ name: "dropNotes", args: [digests, before] })
  }

  async addCosignatures(size: number, cosignatures: readonly Cosignature[]): Promise<void> {
    await this.#ask({ name: "addCosignatures", args: [size, cosignatures] })
  }

  async forgetCosignatures(witnessed: number): Promise<void> {
    await this.#ask({ name: "forgetCosignatures", args: [witnessed] })
  }

  pragma(name: string): Promise<unknown> {
    return this.#ask({ name: "pragma", args: [name] })
  }

  /** Resolves when what was asked for before is done, and the connection closed. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    const closed = this.#worker && !this.#ended ? this.#ask({ name: "close", args: [] }) : null
    this.#ended ??= new RegistryError("UNAVAILABLE", "the ledger is closed")
    await closed?.catch(() => undefined) // a thread that died has closed it
  }

  #ask(order: WriteOrder, moved: ArrayBuffer[] = []): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended)
    const worker = (this.#worker ??= this.#start())
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ resolve, reject }) === 1) worker.ref()
      worker.postMessage(order, moved)
    })
  }

  #start(): Worker {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js" // tsc does not rewrite this name
    const script = new URL(`./ledger-writer-worker.${extension}`, import.meta.url)
    const worker = new Worker(script, { workerData: this.#path })
    worker.on("message", (reply: WriteReply) => {
      const waiting = this.#waiting.shift()
      if (this.#waiting.length === 0) worker.unref()
      if ("result" in reply) waiting?.resolve(reply.result)
      else waiting?.reject(errorOf(reply.refused))
    })
    worker.on("error", (cause) => this.#died(cause))
    worker.on("exit", () => this.#died())
    return worker
  }

  /** Whatever was asked for has an unknown outcome. */
  #died(cause?: unknown): void {
    this.#ended ??= new RegistryError("STORE_FAILED", "the thread that writes the ledger has ended", { cause })
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended)
  }
}

function errorOf({ isOurs, code, message }: Refused): Error {
  return isOurs ? new RegistryError(code as RegistryErrorCode, message) : Object.assign(new Error(message), { code })
}
