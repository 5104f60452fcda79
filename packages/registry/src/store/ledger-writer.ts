/**
 * The thread that writes the ledger, as the event loop sees it: one write after the other, in the order of asking, while
 * requests are read and answered.
 *
 *     event loop   facts, plan ──┐             ┌── answers        reads on a connection of its own
 *     thread                     └─ COMMIT … ──┘── WAL copied back
 */
import { type Thrown, workerFile, WorkerThread } from "@weighlock/node"

import { RegistryError, type RegistryErrorCode } from "../errors.ts"
import type { LedgerWrites } from "./ledger-writes.ts"
import type { BlobFacts, Cosignature, LogCommit, LogHead } from "./ledger.ts"
import { type PackedCommit, packCommit } from "./packed-commit.ts"

type Writes = Omit<LedgerWrites, "commit"> & { commit(commit: PackedCommit): void; close(): void }

/** A method of `LedgerWrites` to call. */
export type WriteOrder = {
  readonly [Name in keyof Writes]: { readonly name: Name; readonly args: Parameters<Writes[Name]> }
}[keyof Writes]

export class LedgerWriter {
  readonly #thread: WorkerThread<WriteOrder, unknown>
  #isUsed = false
  #closing: Promise<void> | null = null

  constructor(path: string) {
    const options = { name: "ledger", workerData: path, revive }
    this.#thread = new WorkerThread(workerFile("./ledger-writer-worker", import.meta.url), options)
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
    const closed = this.#isUsed ? this.#ask({ name: "close", args: [] }) : null
    await closed?.catch(() => undefined) // a thread that died has closed it
    await this.#thread.terminate()
  }

  async #ask(order: WriteOrder, transfer: readonly ArrayBuffer[] = []): Promise<unknown> {
    if (this.#closing !== null && order.name !== "close") throw new RegistryError("UNAVAILABLE", "the ledger is closed")
    this.#isUsed = true
    return await this.#thread.ask(order, { transfer }).catch((cause: unknown) => {
      if (cause !== this.#thread.ended) throw cause
      throw new RegistryError("STORE_FAILED", "the thread that writes the ledger has ended", { cause }) // outcome unknown
    })
  }
}

function revive(thrown: Thrown): Error {
  return thrown.name === "RegistryError"
    ? new RegistryError(thrown.code as RegistryErrorCode, thrown.message, { cause: thrown.cause })
    : thrown
}
