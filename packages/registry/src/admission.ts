/**
 * May this envelope be published? Parsing and signatures of a 10,000-file manifest take a third of a second: threads do
 * it, so the event loop goes on answering. The rules are `admitPublish` of @weighlock/manifest.
 */
import {
  type Envelope,
  type Resource,
  type TrustChain,
  ManifestError,
  type ManifestErrorCode,
} from "@weighlock/manifest"
import { Worker } from "node:worker_threads"
import { RegistryError } from "./errors.ts"
import type { Candidate } from "./log/plan.ts"

export interface AdmissionOrder {
  readonly id: number
  readonly envelope: Uint8Array
  readonly model: string
  /** ms since 1970 */
  readonly now: number
}

/** What of an admitted manifest the registry decides by. */
export interface Admitted extends Candidate {
  readonly envelope: Envelope
  readonly resources: readonly Resource[]
}

export type AdmissionReply = { readonly id: number } & (
  | { readonly admitted: Admitted }
  | { readonly refused: { readonly code: ManifestErrorCode; readonly message: string; readonly hint?: string } }
)

interface Waiting {
  readonly resolve: (admitted: Admitted) => void
  readonly reject: (error: Error) => void
}

export interface AdmissionOptions {
  readonly trustChain: TrustChain
  readonly threads?: number
  /** Envelopes waiting at once; one more is UNAVAILABLE. */
  readonly maxWaiting?: number
  /** A thread died: nothing more can be judged. */
  readonly onFailed: (error: RegistryError) => void
}

export class Admission {
  readonly #threads: readonly Worker[]
  readonly #waiting = new Map<number, Waiting>()
  readonly #maxWaiting: number
  /** What arrived since the last turn of the event loop: one message a turn, not one an envelope. */
  #collected: AdmissionOrder[] = []
  #nextId = 0
  #nextThread = 0

  constructor({ trustChain, threads = 1, maxWaiting = 1024, onFailed }: AdmissionOptions) {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js" // tsc does not rewrite this name
    const script = new URL(`./admission-worker.${extension}`, import.meta.url)
    this.#maxWaiting = maxWaiting
    this.#threads = Array.from({ length: threads }, () => {
      const thread = new Worker(script, { workerData: trustChain.envelopes })
      thread.on("message", (replies: readonly AdmissionReply[]) => replies.forEach((reply) => this.#settle(reply)))
      thread.on("error", (cause) => {
        const error = new RegistryError("UNAVAILABLE", "the admission thread failed", { cause })
        for (const { reject } of this.#waiting.values()) reject(error)
        this.#waiting.clear()
        onFailed(error)
      })
      return thread
    })
  }

  /** Throws what `parseEnvelope` and `admitPublish` throw; UNAVAILABLE when too many wait. */
  admit(envelope: Uint8Array, model: string, now: Date): Promise<Admitted> {
    if (this.#waiting.size >= this.#maxWaiting) {
      return Promise.reject(new RegistryError("UNAVAILABLE", "too many publishes are waiting", { hint: "try again" }))
    }
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      if (this.#collected.push({ id, envelope, model, now: now.getTime() }) === 1) setImmediate(() => this.#send())
    })
  }

  #send(): void {
    this.#threads[this.#nextThread]?.postMessage(this.#collected)
    this.#nextThread = (this.#nextThread + 1) % this.#threads.length
    this.#collected = []
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()))
  }

  #settle(reply: AdmissionReply): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if ("admitted" in reply) waiting?.resolve(reply.admitted)
    else waiting?.reject(new ManifestError(reply.refused.code, reply.refused.message, reply.refused))
  }
}
