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
  statementPayloadType,
} from "@weighlock/manifest"
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { RegistryError } from "./errors.ts"
import type { Candidate } from "./log/plan.ts"
import { Packer, type Slice, unpack } from "./packed.ts"

export interface AdmissionOrder {
  readonly id: number
  readonly envelope: Slice
  readonly model: string
  /** ms since 1970 */
  readonly now: number
}

export interface AdmissionOrders {
  readonly orders: readonly AdmissionOrder[]
  readonly packed: ArrayBuffer
}

/** What of an admitted manifest the registry decides by. */
export interface Admitted extends Candidate {
  readonly envelope: Envelope
  readonly resources: readonly Resource[]
}

/** `Admitted` as it comes from the thread. */
export interface PackedAdmitted extends Omit<Admitted, "payload" | "signatures" | "envelope" | "blobs"> {
  readonly payload: Slice
  readonly signatures: readonly { readonly keyid: string; readonly sig: Slice }[]
}

export type AdmissionReply = { readonly id: number } & (
  | { readonly admitted: PackedAdmitted }
  | { readonly refused: { readonly code: ManifestErrorCode; readonly message: string; readonly hint?: string } }
)

export interface AdmissionReplies {
  readonly replies: readonly AdmissionReply[]
  readonly packed: ArrayBuffer
}

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

interface Order extends Omit<AdmissionOrder, "envelope"> {
  readonly envelope: Uint8Array
}

interface Thread {
  readonly worker: Worker
  /** Messages it has not answered. */
  busy: number
}

/** One that it works on, and one that waits: the thread never idles, and what arrives meanwhile is one message. */
const messagesAhead = 2
/** Of one message: a large manifest is not held up with many small ones. */
const maxOrders = 16
const maxBytes = 512 * 1024

export class Admission {
  readonly #threads: readonly Thread[]
  readonly #waiting = new Map<number, Waiting>()
  readonly #maxWaiting: number
  #queue: Order[] = []
  #nextId = 0

  constructor({ trustChain, threads = defaultThreads(), maxWaiting = 1024, onFailed }: AdmissionOptions) {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js" // tsc does not rewrite this name
    const script = new URL(`./admission-worker.${extension}`, import.meta.url)
    this.#maxWaiting = maxWaiting
    this.#threads = Array.from({ length: threads }, () => {
      const thread: Thread = { worker: new Worker(script, { workerData: trustChain.envelopes }), busy: 0 }
      thread.worker.on("message", ({ replies, packed }: AdmissionReplies) => {
        thread.busy -= 1
        this.#send()
        for (const reply of replies) this.#settle(reply, packed)
      })
      thread.worker.on("error", (cause) => {
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
      if (this.#queue.push({ id, envelope, model, now: now.getTime() }) === 1) setImmediate(() => this.#send())
    })
  }

  #send(): void {
    for (const thread of this.#threads) {
      while (this.#queue.length > 0 && thread.busy < messagesAhead) {
        const packer = new Packer()
        const orders = this.#take().map((order) => ({ ...order, envelope: packer.add(order.envelope) }))
        const packed = packer.pack()
        thread.busy += 1
        thread.worker.postMessage({ orders, packed } satisfies AdmissionOrders, [packed])
      }
    }
  }

  #take(): readonly Order[] {
    let bytes = 0
    const end = this.#queue.findIndex(({ envelope }, at) => at === maxOrders || (bytes += envelope.length) > maxBytes)
    return this.#queue.splice(0, end === -1 ? this.#queue.length : Math.max(1, end))
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
  }

  #settle(reply: AdmissionReply, packed: ArrayBuffer): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if ("admitted" in reply) waiting?.resolve(unpackAdmitted(reply.admitted, packed))
    else waiting?.reject(new ManifestError(reply.refused.code, reply.refused.message, reply.refused))
  }
}

/** The event loop has a core of its own; a signature is 0.1 ms, so four threads are far more than it can commit. */
function defaultThreads(): number {
  return Math.max(1, Math.min(4, availableParallelism() - 1))
}

function unpackAdmitted(
  { payload: slice, signatures: packedSignatures, ...rest }: PackedAdmitted,
  packed: ArrayBuffer,
): Admitted {
  const payload = unpack(packed, slice)
  const signatures = packedSignatures.map(({ keyid, sig }) => ({ keyid, sig: unpack(packed, sig) }))
  const blobs = [...new Set(rest.resources.map(({ digest }) => digest))]
  return { ...rest, payload, signatures, blobs, envelope: { payloadType: statementPayloadType, payload, signatures } }
}
