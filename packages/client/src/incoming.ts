/**
 * An answer whose bytes are handed on as they come. Not a stream: at a gigabyte a second a stream between the socket and the
 * file costs as much as both. The connection is never paused: undici 7 ends the process when a paused one is closed from the
 * other side (nodejs/undici#5360). Whoever takes the bytes bounds what it asks for: here, a part of a file.
 */
import type { Dispatcher } from "undici"

type Headers = Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseStart"]>>[2]

/** Of an answer that nobody wants, bytes that are read to keep the connection. */
const dumped = 131_072

export interface IncomingOptions {
  readonly signal: AbortSignal
  /** What a failed connection or a broken body means to the caller. */
  readonly broken: (cause: unknown) => unknown
}

export class Incoming implements Dispatcher.DispatchHandler {
  readonly #options: IncomingOptions
  readonly #begun = Promise.withResolvers<this>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #onAbort = (): void => this.#fail(this.#options.broken(this.#options.signal.reason))
  #controller: Dispatcher.DispatchController | null = null
  #take: ((chunk: Uint8Array) => void) | null = null
  /** What came before anybody asked. */
  #early: Uint8Array[] = []
  #isOver = false
  #failure: { readonly error: unknown } | null = null
  statusCode = 0
  headers: Headers = {}

  constructor(options: IncomingOptions) {
    this.#options = options
    this.#begun.promise.catch(() => undefined)
    this.#ended.promise.catch(() => undefined)
    options.signal.addEventListener("abort", this.#onAbort)
    if (options.signal.aborted) this.#onAbort()
  }

  /** Resolves with the status and the headers. */
  get begun(): Promise<this> {
    return this.#begun.promise
  }

  /** Resolves at the end of the body. What `take` throws ends the connection and is thrown on. */
  async read(take: (chunk: Uint8Array) => void): Promise<void> {
    this.#take = take
    const early = this.#early
    this.#early = []
    for (const chunk of early) this.#hand(chunk)
    await this.#ended.promise
    if (this.#failure !== null) throw this.#failure.error
  }

  /** Reads a body that nobody wants, if it is short. */
  async dump(): Promise<void> {
    let size = 0
    await this.read((chunk) => {
      if ((size += chunk.length) > dumped) throw new Error("not wanted")
    }).catch(() => undefined)
  }

  /** Ends the connection unless the body has been read to its end. */
  stop(): void {
    if (!this.#isOver) this.#fail(new Error("not wanted"))
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#over()
    this.#begun.reject(error)
    this.#ended.reject(error)
    this.#controller?.abort(error instanceof Error ? error : new Error("not wanted"))
  }

  #over(): void {
    this.#isOver = true
    this.#options.signal.removeEventListener("abort", this.#onAbort)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#isOver) controller.abort(new Error("not wanted"))
  }

  onResponseStart(_controller: Dispatcher.DispatchController, statusCode: number, headers: Headers): void {
    if (statusCode < 200) return
    this.statusCode = statusCode
    this.headers = headers
    this.#begun.resolve(this)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.#take === null) this.#early.push(chunk)
    else this.#hand(chunk)
  }

  #hand(chunk: Uint8Array): void {
    if (this.#failure !== null) return
    try {
      this.#take?.(chunk)
    } catch (error) {
      this.#fail(error)
    }
  }

  onResponseEnd(): void {
    this.#over()
    this.#ended.resolve()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (!this.#isOver) this.#fail(this.#options.broken(error))
  }
}
