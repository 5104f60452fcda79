/**
 * Small requests over HTTP(S), each within limits of time and bytes: to a witness, a web hook, a bucket that is probed.
 *
 *     const http = new HttpClient({ totalMs: 2000, maxBytes: 65_536 })
 *     const { status, headers, body } = await http.request(url, { method: "POST", body: "old 40\n…" })
 *
 * No redirect is followed, nothing is decompressed, no status is an error; the proxies of the environment are asked.
 * Connections are kept for the next request. Files and the registry's API go through the client's transport, which knows
 * forbidden addresses.
 */
import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage, request } from "node:http"

import { NodeError } from "./errors.ts"
import { type Proxy, proxyFor } from "./proxy.ts"
import { readAtMost } from "./read-at-most.ts"

export interface HttpClientOptions {
  /** ms until there is a connection, with TLS; 10 s unless told. */
  readonly connectMs?: number
  /** ms in which nothing comes or goes; 30 s unless told. */
  readonly idleMs?: number
  /** ms from the first step to the last byte. */
  readonly totalMs: number
  /** Of an answer's body. */
  readonly maxBytes: number
  /** What happens to a body that is larger: an error unless told. `cut`: its beginning is enough, and the connection ends. */
  readonly whenLarger?: "refuse" | "cut"
  /** PEM, instead of the authorities that Node trusts. */
  readonly ca?: string | Buffer | undefined
}

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT"
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly signal?: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export class HttpClient {
  readonly #options: HttpClientOptions
  readonly #agents = new Map<string, Agent>()
  #isClosed = false

  constructor(options: HttpClientOptions) {
    this.#options = options
  }

  /**
   * Throws the signal's reason, the system's error (ECONNREFUSED), PROXY_INVALID, PROXY_FAILED, TIMED_OUT or ANSWER_TOO_LARGE.
   * The message of the last three ends a sentence about the other side: "did not answer within 2000 ms".
   */
  async request(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    const { totalMs } = this.#options
    const limit = AbortSignal.timeout(totalMs)
    const signal = request.signal === undefined ? limit : AbortSignal.any([request.signal, limit])
    const proxy = proxyFor(url)
    try {
      return await this.#exchange(url, request, { signal, proxy })
    } catch (cause) {
      request.signal?.throwIfAborted()
      if (limit.aborted) throw timedOut(`did not answer within ${totalMs} ms${through(proxy)}`, cause)
      throw proxy === null || cause instanceof NodeError ? cause : failedThrough(proxy, cause)
    }
  }

  /** Ends what is under way. */
  close(): void {
    this.#isClosed = true
    for (const agent of this.#agents.values()) agent.destroy()
  }

  async #exchange(url: URL, request: HttpRequest, way: Way, again = true): Promise<HttpAnswer> {
    const { signal } = way
    const { begin, agent } = await this.#stack(url, way)
    const { method, headers = {}, body } = request
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }
    const sent = begin(url, { method, headers: { ...headers, ...length }, agent, signal })
    let late: Error | null = null
    this.#limit(sent, (error) => sent.destroy((late = error)))
    try {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        sent.once("response", resolve).on("error", reject).end(body)
      })
      return await this.#read(answer)
    } catch (error) {
      if (late !== null) throw late // an answer that is under way breaks off with another error
      // The other side had closed the connection that was kept: it has not read the request.
      const wasClosed = sent.reusedSocket && (error as NodeJS.ErrnoException).code === "ECONNRESET"
      if (!again || !wasClosed || signal.aborted) throw error
      return await this.#exchange(url, request, way, false)
    }
  }

  async #read(answer: IncomingMessage): Promise<HttpAnswer> {
    const { maxBytes, whenLarger = "refuse" } = this.#options
    const { bytes, isAll } = await readAtMost(answer, maxBytes)
    if (!isAll && whenLarger === "refuse")
      throw new NodeError("ANSWER_TOO_LARGE", `answered with more than ${maxBytes} bytes`)
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: bytes }
  }

  #limit(sent: ClientRequest, end: (error: Error) => void): void {
    const { connectMs = 10_000, idleMs = 30_000 } = this.#options
    sent.setTimeout(idleMs, () => end(timedOut(`sent nothing for ${idleMs} ms`)))
    sent.once("socket", (socket) => {
      if (!socket.connecting) return
      const timer = setTimeout(() => end(timedOut(`took no connection within ${connectMs} ms`)), connectMs)
      for (const event of ["encrypted" in socket ? "secureConnect" : "connect", "close"])
        socket.once(event, () => clearTimeout(timer))
    })
  }

  /** Loaded with the first request: most commands make none. */
  async #stack(url: URL, { proxy }: Way): Promise<{ readonly begin: typeof request; readonly agent: Agent }> {
    const { request } = url.protocol === "https:" ? await import("node:https") : await import("node:http")
    const { agentFor } = await import("./agents.ts")
    if (this.#isClosed) throw new NodeError("TIMED_OUT", "was not asked any more")
    const key = `${url.protocol} ${proxy?.url.href ?? ""}`
    const agent = this.#agents.get(key) ?? agentFor(url.protocol, proxy, { ca: this.#options.ca })
    this.#agents.set(key, agent)
    return { begin: request, agent }
  }
}

interface Way {
  readonly signal: AbortSignal
  readonly proxy: Proxy | null
}

function through(proxy: Proxy | null): string {
  return proxy === null ? "" : ` through ${proxy.name}`
}

/** Of an error of the system only the code: some quote the address, which may be a secret. */
function failedThrough(proxy: Proxy, cause: unknown): NodeError {
  const { code, message } = cause as NodeJS.ErrnoException
  return new NodeError("PROXY_FAILED", `could not be reached${through(proxy)}: ${code ?? message}`, { cause })
}

function timedOut(message: string, cause?: unknown): NodeError {
  return new NodeError("TIMED_OUT", message, { cause })
}
