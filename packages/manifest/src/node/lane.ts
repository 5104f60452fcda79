/** A worker thread that answers orders one after the other. It starts with the first, and keeps no process alive that waits for nothing. */
import { Worker } from "node:worker_threads"

export type Numbered<T> = T & { readonly id: number }

export class Lane<Order extends object, Reply extends object> {
  readonly #script: string
  #worker: Worker | null = null
  readonly #waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>()
  #next = 0
  /** The thread has gone, and what it had begun with it: nothing may go on from there. */
  #failure: Error | null = null
  #isClosing = false

  /** `script`: a file of this folder, without its ending. */
  constructor(script: string) {
    this.#script = script
  }

  /** Orders that have no answer yet. */
  get busy(): number {
    return this.#waiting.size
  }

  #start(): Worker {
    // tsc does not rewrite this name: the sources run as .ts, the package as .js.
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js"
    // The flags of whoever imports us are theirs: `node --input-type=module -e …` would be handed on, and refused.
    const worker = new Worker(new URL(`./${this.#script}.${extension}`, import.meta.url), { execArgv: [] })
    worker.on("message", (reply: Numbered<Reply>) => {
      this.#waiting.get(reply.id)?.resolve(reply)
      this.#waiting.delete(reply.id)
      // While it ends it holds the process: Node would leave in the middle of `close`, with exit code 13.
      if (this.#waiting.size === 0 && !this.#isClosing) worker.unref()
    })
    worker.on("error", (error: Error) => this.#fail(error))
    return worker
  }

  run(order: Order): Promise<Reply> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const id = this.#next++
    const worker = (this.#worker ??= this.#start())
    worker.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      worker.postMessage({ ...order, id } satisfies Numbered<Order>)
    })
  }

  /** Orders that have no answer by then fail. */
  async close(): Promise<void> {
    this.#isClosing = true
    await this.#worker?.terminate()
    this.#fail(new Error("the thread was closed"))
  }

  #fail(error: Error): void {
    this.#failure = error
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
