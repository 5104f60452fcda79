/**
 * A worker thread that answers orders: the one protocol between a thread and whoever starts it.
 *
 *     // here                                          // in add-worker.ts
 *     const file = workerFile("./add-worker",          serveOrders((numbers: number[]): number =>
 *       import.meta.url)                                 numbers.reduce((sum, each) => sum + each, 0),
 *     const adder =                                    )
 *       new WorkerThread<number[], number>(file)
 *     await adder.ask([1, 2])        { id: 0, order: [1, 2] } ->   <- { id: 0, reply: 3 }
 *     await adder.terminate()
 */
import { type ResourceLimits, type Transferable, Worker } from "node:worker_threads"
import { NodeError } from "./errors.ts"
import { type OrderMessage, type ReplyMessage, reviveThrown, type Thrown } from "./thread-messages.ts"

export interface WorkerThreadOptions {
  /** For messages and debuggers. */
  readonly name?: string
  /** What the thread finds as `workerData`. */
  readonly workerData?: unknown
  readonly resourceLimits?: ResourceLimits
  /** Nothing that the thread writes to stdout or stderr is seen. */
  readonly silent?: boolean
  /** Makes what the thread threw an error of the right class. */
  readonly revive?: (thrown: Thrown) => Error
}

/** tsc does not rewrite such names: our sources run as .ts, our packages as .js. `path` goes without the ending. */
export function workerFile(path: string, importer: string): URL {
  return new URL(`${path}.${new URL(importer).pathname.endsWith(".ts") ? "ts" : "js"}`, importer)
}

/** The one with the fewest orders under way; the first of several. */
export function leastBusy<T extends { readonly busy: number }>(threads: readonly T[]): T {
  return threads.reduce((least, each) => (each.busy < least.busy ? each : least))
}

export interface AskOptions {
  /** What changes threads instead of being copied. */
  readonly transfer?: readonly Transferable[]
  /** Hears how far the thread has come with it. */
  readonly onProgress?: (progress: never) => void
}

interface Waiting<Reply> {
  readonly onProgress: ((progress: never) => void) | undefined
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

/** Starts with its first order, and keeps no process alive that waits for nothing. Once it has ended it stays so. */
export class WorkerThread<Order, Reply> {
  /** Resolves when it takes no more orders, with why: the same object as `ended`. */
  readonly gone: Promise<NodeError<"THREAD_ENDED">>
  readonly #resolveGone: (why: NodeError<"THREAD_ENDED">) => void
  readonly #file: URL
  readonly #options: WorkerThreadOptions
  readonly #waiting = new Map<number, Waiting<Reply>>()
  #worker: Worker | null = null
  #nextId = 0
  #ended: NodeError<"THREAD_ENDED"> | null = null

  constructor(file: URL, options: WorkerThreadOptions = {}) {
    const { promise, resolve } = Promise.withResolvers<NodeError<"THREAD_ENDED">>()
    this.gone = promise
    this.#resolveGone = resolve
    this.#file = file
    this.#options = options
  }

  /** Orders that have no answer yet. */
  get busy(): number {
    return this.#waiting.size
  }

  /** Why it takes no more orders; `null` while it does. */
  get ended(): NodeError<"THREAD_ENDED"> | null {
    return this.#ended
  }

  /** Throws what the thread threw, as `revive` has it; THREAD_ENDED, the same object as `ended`, when no answer will come. */
  ask(order: Order, { transfer = [], onProgress }: AskOptions = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) throw this.#ended
      const worker = (this.#worker ??= this.#start())
      const id = this.#nextId++
      worker.postMessage({ id, order } satisfies OrderMessage<Order>, transfer)
      this.#waiting.set(id, { onProgress, resolve, reject })
      worker.ref()
    })
  }

  /** Orders that have no answer by now fail. Resolves once the thread has ended, which a call into native code delays. */
  async terminate(why = "was closed"): Promise<void> {
    this.#end(why)
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const { name, workerData, resourceLimits, silent = false } = this.#options
    const worker = new Worker(this.#file, {
      // The flags of whoever imports us are theirs: a thread that inherits `--input-type=module` or `-e …` does not start.
      execArgv: [],
      stdout: silent,
      stderr: silent,
      workerData,
      ...(name === undefined ? {} : { name }),
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
    })
    // A stream that nobody reads would keep the process alive from the first word on, and one that is read as well.
    if (silent) for (const stream of [worker.stdout, worker.stderr]) stream.destroy()
    let failure: unknown
    worker.on("message", (message: ReplyMessage<Reply>) => this.#settle(worker, message))
    worker.on("messageerror", (cause) => void this.#fail(worker, cause))
    worker.on("error", (cause) => (failure = cause))
    // Only now: replies that were sent before an error are delivered before this, but not always before "error".
    worker.on("exit", (code) => {
      this.#end(failure === undefined ? `ended with exit code ${code}` : `failed: ${messageOf(failure)}`, failure)
    })
    worker.unref() // after the first listener, which holds the process again
    return worker
  }

  #settle(worker: Worker, message: ReplyMessage<Reply>): void {
    const waiting = this.#waiting.get(message.id)
    if ("progress" in message) return waiting?.onProgress?.(message.progress as never)
    this.#waiting.delete(message.id)
    // While it is being ended it holds the process: Node would leave in the middle of `terminate`, with exit code 13.
    if (this.#waiting.size === 0 && this.#ended === null) worker.unref()
    if ("reply" in message) waiting?.resolve(message.reply)
    else waiting?.reject(this.#revive(reviveThrown(message.error)))
  }

  #revive(thrown: Thrown): Error {
    return this.#options.revive?.(thrown) ?? thrown
  }

  async #fail(worker: Worker, cause: Error): Promise<void> {
    this.#end("answered what cannot be read", cause)
    await worker.terminate()
  }

  #end(why: string, cause?: unknown): void {
    const { name = "worker" } = this.#options
    this.#ended ??= new NodeError("THREAD_ENDED", `the ${name} thread ${why}`, cause === undefined ? {} : { cause })
    for (const { reject } of this.#waiting.values()) reject(this.#ended)
    this.#waiting.clear()
    this.#resolveGone(this.#ended)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
