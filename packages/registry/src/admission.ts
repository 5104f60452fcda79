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
import { leastBusy, workerFile, WorkerThread } from "@weighlock/node"
import { availableParallelism } from "node:os"
import { RegistryError } from "./errors.ts"
import type { Candidate } from "./log/plan.ts"
import { Packer, type Slice, unpack } from "./packed.ts"

export interface AdmissionOrder {
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

export type AdmissionReply =
  | { readonly admitted: PackedAdmitted }
  | { readonly refused: { readonly code: ManifestErrorCode; readonly message: string; readonly hint?: string } }

/** One reply for each of the orders, in their order. */
export interface AdmissionReplies {
  readonly replies: readonly AdmissionReply[]
  readonly packed: ArrayBuffer
}

export interface AdmissionOptions {
  readonly trustChain: TrustChain
  readonly threads?: number
  /** Envelopes waiting at once; one more is UNAVAILABLE. */
  readonly maxWaiting?: number
  /** A thread died: nothing more can be admitted. */
  readonly onFailed: (error: RegistryError) => void
}

interface Waiting {
  readonly envelope: Uint8Array
  readonly model: string
  readonly now: number
  readonly resolve: (admitted: Admitted) => void
  readonly reject: (error: Error) => void
}

/** One that it works on, and one that waits: the thread never idles, and what arrives meanwhile is one message. */
const messagesAhead = 2
/** Of one message: a large manifest is not held up with many small ones. */
const maxOrders = 16
const maxBytes = 512 * 1024

export class Admission {
  readonly #threads: readonly WorkerThread<AdmissionOrders, AdmissionReplies>[]
  readonly #maxWaiting: number
  readonly #onFailed: (error: RegistryError) => void
  readonly #queue: Waiting[] = []
  /** In the queue or in a thread. */
  #waiting = 0
  #isClosed = false

  constructor({ trustChain, threads = defaultThreads(), maxWaiting = 1024, onFailed }: AdmissionOptions) {
    const options = { name: "admission", workerData: trustChain.envelopes }
    const file = workerFile("./admission-worker", import.meta.url)
    this.#maxWaiting = maxWaiting
    this.#onFailed = onFailed
    this.#threads = Array.from({ length: threads }, () => new WorkerThread(file, options))
  }

  /** Throws what `parseEnvelope` and `admitPublish` throw; UNAVAILABLE when too many wait. */
  async admit(envelope: Uint8Array, model: string, now: Date): Promise<Admitted> {
    if (this.#waiting >= this.#maxWaiting)
      throw new RegistryError("UNAVAILABLE", "too many publishes are waiting", { hint: "try again" })
    this.#waiting += 1
    try {
      return await new Promise<Admitted>((resolve, reject) => {
        const waiting = { envelope, model, now: now.getTime(), resolve, reject }
        if (this.#queue.push(waiting) === 1) setImmediate(() => this.#send())
      })
    } finally {
      this.#waiting -= 1
    }
  }

  #send(): void {
    while (this.#queue.length > 0) {
      const thread = leastBusy(this.#threads)
      if (thread.busy >= messagesAhead) return
      void this.#hand(this.#take(), thread)
    }
  }

  #take(): readonly Waiting[] {
    let bytes = 0
    const end = this.#queue.findIndex(({ envelope }, at) => at === maxOrders || (bytes += envelope.length) > maxBytes)
    return this.#queue.splice(0, end === -1 ? this.#queue.length : Math.max(1, end))
  }

  async #hand(batch: readonly Waiting[], thread: WorkerThread<AdmissionOrders, AdmissionReplies>): Promise<void> {
    const packer = new Packer()
    const orders = batch.map(({ envelope, model, now }) => ({ envelope: packer.add(envelope), model, now }))
    const packed = packer.pack()
    try {
      const answer = await thread.ask({ orders, packed }, { transfer: [packed] })
      this.#send()
      for (const [at, reply] of answer.replies.entries()) {
        const waiting = batch[at]
        if ("admitted" in reply) waiting?.resolve(unpackAdmitted(reply.admitted, answer.packed))
        else waiting?.reject(new ManifestError(reply.refused.code, reply.refused.message, reply.refused))
      }
    } catch (cause) {
      const error = new RegistryError("UNAVAILABLE", "the admission thread failed", { cause })
      for (const { reject } of [...batch, ...this.#queue.splice(0)]) reject(error)
      if (!this.#isClosed) this.#onFailed(error)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#threads.map((thread) => thread.terminate()))
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
