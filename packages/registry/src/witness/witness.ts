/**
 * A witness: cosigns what a log shows it, as long as that log only grows.
 *
 *     read, verify -> one at a time per log: compare, prove, sign -> one commit -> copy beside the database -> answer
 */
import { SerialQueue } from "@weighlock/node"
import {
  type NoteSigner,
  cosign,
  formatNote,
  formatSignatureLines,
  formatTlogSize,
  tlogSizeType,
} from "@weighlock/tlog"

import { CheckpointCopy } from "../log/checkpoint-copy.ts"
import { Refusal, Unkept, type Submission, openSubmission, requireGrowth } from "./judge.ts"
import { copyPath, newestSlot, originHash } from "./kept-state.ts"
import type { WitnessStore } from "./store.ts"

export interface WitnessOptions {
  /** Proven by `requireKept`. */
  readonly store: WitnessStore
  readonly signer: NoteSigner
  readonly data: string
  /** ms since epoch */
  readonly now: () => number
}

/** Requests about one log that may wait for their turn. */
const maxWaiting = 64

interface Watch {
  readonly requests: SerialQueue
  readonly copy: CheckpointCopy
}

export class Witness {
  readonly #options: WitnessOptions
  readonly #watches = new Map<string, Promise<Watch>>()
  #stopped = false

  constructor(options: WitnessOptions) {
    this.#options = options
  }

  /** The body of a 200: a signature line. Throws a Refusal; after anything else nothing more is cosigned. */
  async addCheckpoint(body: string): Promise<string> {
    const { store } = this.#options
    const submission = openSubmission(body, (origin) => store.keysOf(origin))
    try {
      return await this.#inTurn(submission)
    } catch (error) {
      if (!(error instanceof Refusal)) this.#stopped = true
      throw error
    }
  }

  /** The newest cosigned checkpoint of the log with that SHA-256 (hex) of its origin; `null` when there is none. */
  checkpoint(hash: string): string | null {
    const { store } = this.#options
    const origin = store.origins().find((each) => originHash(each) === hash)
    return origin === undefined ? null : (store.cosigned(origin)?.note ?? null)
  }

  /** After the last request was answered. */
  async close(): Promise<void> {
    this.#stopped = true
    for (const watch of this.#watches.values()) await (await watch.catch(() => null))?.copy.close()
  }

  async #inTurn(submission: Submission): Promise<string> {
    const watch = await this.#watch(submission.checkpoint.origin)
    if (watch.requests.size >= maxWaiting) throw new Refusal(503, "too many requests about that log at once\n")
    return await watch.requests.run(() => this.#cosign(submission, watch.copy))
  }

  async #cosign(submission: Submission, copy: CheckpointCopy): Promise<string> {
    if (this.#stopped) throw new Refusal(503, "this witness is stopping\n")
    const { store, signer, now } = this.#options
    const { checkpoint, note } = submission
    const { origin, size, root } = checkpoint
    const last = store.cosigned(origin)
    requireGrowth(submission, last)
    const own = await cosign(note.text, signer, Math.floor(now() / 1000))
    const cosigned = formatNote({ text: note.text, signatures: [...note.signatures, own] })
    if (!store.advance(origin, last, { size, root, note: cosigned })) {
      throw new Refusal(409, formatTlogSize(store.cosigned(origin)?.size ?? 0), tlogSizeType)
    }
    await copy.write(formatNote({ text: note.text, signatures: [own] }))
    return formatSignatureLines([own])
  }

  #watch(origin: string): Promise<Watch> {
    const known = this.#watches.get(origin)
    if (known) return known
    const watch = this.#openWatch(origin).catch((cause: unknown) => {
      this.#watches.delete(origin) // a disk that is full, or too many open files: whoever asks next tries again
      throw new Unkept(cause)
    })
    this.#watches.set(origin, watch)
    return watch
  }

  async #openWatch(origin: string): Promise<Watch> {
    const path = copyPath(this.#options.data, origin)
    const newest = newestSlot((await CheckpointCopy.read(path)) ?? [], this.#options.signer.vkey)
    return { requests: new SerialQueue(), copy: await CheckpointCopy.open(path, newest?.text ?? null) }
  }
}
