/**
 * Group commit without a timer: whoever waits when a commit starts shares it, and is answered after it. Two are under way at
 * most: one that is being written, and one that is being made ready.
 *
 *     request 1 ─┐                    ┌─ answer 1
 *     request 2 ─┼─ one transaction ──┼─ answer 2      request 4 ─── the next transaction ─── answer 4
 *     request 3 ─┘   (one fsync)      └─ answer 3
 *
 * A commit that rejects with UNAVAILABLE has written nothing: its batch is refused, and the next one is tried. A commit that
 * fails in another way has an unknown outcome. Nothing is sequenced after it: waiting callers are refused and the process is
 * told to stop; a retry against the restarted registry finds out what is true.
 */
import { RegistryError } from "./errors.ts"

interface Waiting<In, Out> {
  readonly item: In
  readonly resolve: (out: Out) => void
  readonly reject: (error: unknown) => void
}

export interface SequencerOptions<In> {
  /** Waiting items beyond this are refused with UNAVAILABLE. */
  readonly maxItems: number
  /** Bytes of waiting items beyond this are refused with UNAVAILABLE. */
  readonly maxBytes: number
  readonly sizeOf: (item: In) => number
  /** Called once, with the error that stopped the sequencing. Must end the process. */
  readonly onFailed: (error: RegistryError) => void
}

const maxBatch = 512
const maxUnderWay = 2

export class Sequencer<In, Out> {
  /** Commits in the order of its calls. */
  readonly #commit: (batch: readonly In[]) => Promise<readonly Out[]>
  readonly #options: SequencerOptions<In>
  #waiting: Waiting<In, Out>[] = []
  #bytes = 0
  readonly #underWay = new Set<Promise<void>>()
  #starting = false
  #stopped: RegistryError | null = null
  #closing = false

  constructor(commit: (batch: readonly In[]) => Promise<readonly Out[]>, options: SequencerOptions<In>) {
    this.#commit = commit
    this.#options = options
  }

  /** Resolves after the commit that holds the item. Rejects with UNAVAILABLE when full or stopped, STORE_FAILED on a fault. */
  submit(item: In): Promise<Out> {
    const size = this.#options.sizeOf(item)
    if (this.#stopped) return Promise.reject(this.#stopped)
    if (this.#closing) return Promise.reject(new RegistryError("UNAVAILABLE", "the registry is shutting down"))
    if (this.#waiting.length >= this.#options.maxItems || this.#bytes + size > this.#options.maxBytes) {
      return Promise.reject(new RegistryError("UNAVAILABLE", "too many writes are waiting"))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      this.#bytes += size
      this.#start()
    })
  }

  /** One turn of the event loop lets every request that has already arrived join the batch. */
  #start(): void {
    if (this.#starting || this.#waiting.length === 0 || this.#underWay.size === maxUnderWay) return
    this.#starting = true
    setImmediate(() => {
      this.#starting = false
      if (this.#stopped) return
      const batch = this.#commitBatch(this.#waiting.splice(0, maxBatch)).finally(() => {
        this.#underWay.delete(batch)
        this.#start()
      })
      this.#underWay.add(batch)
      this.#start()
    })
  }

  async #commitBatch(batch: readonly Waiting<In, Out>[]): Promise<void> {
    for (const { item } of batch) this.#bytes -= this.#options.sizeOf(item)
    try {
      const outs = await this.#commit(batch.map(({ item }) => item))
      if (outs.length !== batch.length) throw new Error(`${outs.length} answers for ${batch.length} writes`)
      for (const [i, out] of outs.entries()) batch[i]?.resolve(out)
    } catch (cause) {
      if (cause instanceof RegistryError && cause.code === "UNAVAILABLE") return refuse(batch, cause)
      this.#fail(new RegistryError("STORE_FAILED", "a commit failed: its outcome is unknown", { cause }), batch)
    }
  }

  #fail(error: RegistryError, batch: readonly Waiting<In, Out>[]): void {
    if (this.#stopped) return refuse(batch, this.#stopped)
    this.#stopped = error
    for (const { reject } of [...batch, ...this.#waiting.splice(0)]) reject(error)
    this.#options.onFailed(error)
  }

  /** Refuses new items and resolves when those that wait are answered. */
  async close(): Promise<void> {
    this.#closing = true
    while (this.#underWay.size > 0 || (this.#waiting.length > 0 && !this.#stopped)) {
      await Promise.all(this.#underWay)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

function refuse(batch: readonly { readonly reject: (error: unknown) => void }[], error: RegistryError): void {
  for (const { reject } of batch) reject(error)
}
