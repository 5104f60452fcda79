/**
 * A source whose whole digest and part digests are computed side by side: its bytes go into shared memory once, and two
 * threads hash them there. Memory is flat whatever the size.
 */
import type { WorkerThread } from "../worker-thread.ts"
import { type ByteSource, fill } from "./byte-source.ts"
import type { HashOrder, HashReply } from "./hash-orders.ts"
import type { ReadOptions } from "./reading.ts"
import type { SharedBlocks } from "./shared-blocks.ts"

export interface BlockPlan {
  readonly source: ByteSource
  readonly size: number
  /** A multiple of `blockSize`; `null` where no parts are wanted. */
  readonly partSize: number | null
  readonly blocks: SharedBlocks
  readonly blockSize: number
  /** May be the same. */
  readonly threads: {
    readonly whole: WorkerThread<HashOrder, HashReply>
    readonly parts: WorkerThread<HashOrder, HashReply>
  }
  readonly nextStream: () => number
  /** Makes the error that says: the source ends before its last byte. */
  readonly ended: () => Error
}

export interface WholeAndParts {
  readonly digest: string
  readonly parts: readonly string[]
}

export class BlockHashing {
  readonly #plan: BlockPlan
  readonly #wholeStream: number
  #partStream: number
  #whole: Promise<HashReply> = Promise.resolve({})
  readonly #parts: Promise<HashReply>[] = []
  /** Until a thread is done with a block. */
  readonly #uses: Promise<void>[] = []
  #at = 0

  constructor(plan: BlockPlan) {
    this.#plan = plan
    this.#wholeStream = plan.nextStream()
    this.#partStream = plan.nextStream()
  }

  async run({ signal, onBytes }: ReadOptions): Promise<WholeAndParts> {
    try {
      do {
        signal?.throwIfAborted()
        const length = await this.#next()
        onBytes?.(length)
      } while (this.#at < this.#plan.size)
      const { digest = "" } = await this.#whole
      return { digest, parts: (await Promise.all(this.#parts)).map((part) => part.digest ?? "") }
    } catch (error) {
      this.#forget()
      throw error
    } finally {
      await Promise.all(this.#uses)
    }
  }

  async #next(): Promise<number> {
    const { source, size, blocks, blockSize, ended } = this.#plan
    const offset = await blocks.take()
    const length = Math.min(blockSize, size - this.#at)
    try {
      if (!(await fill(source, blocks.view(offset, length)))) throw ended()
    } catch (error) {
      blocks.give(offset)
      throw error
    }
    this.#at += length
    this.#uses.push(Promise.allSettled(this.#hash(offset, length)).then(() => blocks.give(offset)))
    return length
  }

  #hash(offset: number, length: number): Promise<HashReply>[] {
    const { size, partSize, threads, blocks, nextStream } = this.#plan
    const order = { kind: "block", memory: blocks.memory, offset, length } as const
    const isLast = this.#at === size
    this.#whole = threads.whole.ask({ ...order, stream: this.#wholeStream, end: isLast })
    if (partSize === null) return [this.#whole]
    const end = isLast || this.#at % partSize === 0
    const part = threads.parts.ask({ ...order, stream: this.#partStream, end })
    if (end) {
      this.#parts.push(part)
      this.#partStream = nextStream()
    }
    return [this.#whole, part]
  }

  /** The threads let go of what they hold. */
  #forget(): void {
    const { threads, blocks } = this.#plan
    const end = { kind: "block", memory: blocks.memory, offset: 0, length: 0, end: true } as const
    const ends = [
      threads.whole.ask({ ...end, stream: this.#wholeStream }),
      threads.parts.ask({ ...end, stream: this.#partStream }),
    ]
    void Promise.allSettled(ends)
  }
}
