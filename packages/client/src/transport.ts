/**
 * HTTP as this client speaks it: every exchange has a connect, an idle and a total time limit and a byte cap; nothing is
 * decompressed; redirects are never followed here; what may be asked again is, with growing pauses.
 */
import type { LookupFunction } from "node:net"
import { Readable } from "node:stream"
import { setTimeout as pause } from "node:timers/promises"
import { type JsonValue, parseJson } from "@weighlock/manifest"
import { type Dispatcher, EnvHttpProxyAgent, request } from "undici"
import { parseRegistryUrl, StorePolicy } from "./address.ts"
import { ClientError, codeOf, unavailable } from "./errors.ts"

const connectTimeout = 10_000
const idleTimeout = 30_000
const callTimeout = 60_000
const attempts = 4
const problemLimit = 65_536

export interface TransportOptions {
  /** http(s) URL. */
  readonly registry: string
  readonly token?: string
  readonly allowStoreHosts?: readonly string[]
  readonly signal?: AbortSignal
}

export interface Exchange {
  readonly method: "GET" | "HEAD" | "POST" | "PUT"
  readonly body?: Uint8Array
  readonly contentType?: string
  /** Bytes of an answer that will be read; more is refused. */
  readonly limit: number
}

export interface Answer {
  readonly status: number
  readonly body: Uint8Array
}

/** A streamed answer; the caller reads `body` to its end or destroys it. */
export type Streamed = Dispatcher.ResponseData

export class Transport {
  readonly registry: URL
  readonly stores: StorePolicy
  readonly #token: string | undefined
  readonly #signal: AbortSignal | undefined
  readonly #agents = new Map<LookupFunction | undefined, EnvHttpProxyAgent>()

  constructor(options: TransportOptions) {
    this.registry = parseRegistryUrl(options.registry)
    this.stores = new StorePolicy(this.registry, options.allowStoreHosts)
    this.#token = options.token
    this.#signal = options.signal
  }

  /** One call to the registry, retried where that is safe. `path` is relative to the registry's URL. */
  async call(path: string, exchange: Exchange): Promise<Answer> {
    return await this.retrying(async () => {
      const answer = await this.#send(new URL(path, this.registry), exchange)
      const body = await readBody(answer.body, answer.statusCode < 300 ? exchange.limit : problemLimit, path)
      if (answer.statusCode >= 300) throw problem(answer.statusCode, body, `${exchange.method} ${path}`)
      return { status: answer.statusCode, body }
    })
  }

  /** Opens a GET at the registry, or at a store it named (then without the token). Not retried. */
  async open(url: URL, headers: Record<string, string> = {}): Promise<Streamed> {
    return await this.#request(url, { method: "GET", headers: { ...this.#authorization(url), ...headers } })
  }

  /** Sends `length` bytes to a granted address: PUT only, no redirect, never with the token. */
  async put(url: URL, headers: Record<string, string>, body: AsyncIterable<Uint8Array>, length: number): Promise<void> {
    const answer = await this.#request(url, {
      method: "PUT",
      headers: { ...headers, "content-length": String(length) },
      body: Readable.from(body, { objectMode: false }),
    })
    const text = await readBody(answer.body, problemLimit, url.pathname)
    if (answer.statusCode < 200 || answer.statusCode > 204)
      throw problem(answer.statusCode, text, `PUT ${url.origin}${url.pathname}`)
  }

  /** Runs `task` again after UNAVAILABLE, at most three times, pausing 0.2 s, 0.8 s, 3.2 s and a random bit. */
  async retrying<T>(task: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await task()
      } catch (error) {
        const mayHelp = error instanceof ClientError && error.code === "UNAVAILABLE"
        if (!mayHelp || attempt === attempts) throw error
        await pause(50 * 4 ** attempt * (0.75 + Math.random() / 2), undefined, { signal: this.#signal })
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()))
  }

  async #send(url: URL, { method, body, contentType }: Exchange): Promise<Streamed> {
    const headers: Record<string, string> = { ...this.#authorization(url), accept: "application/json" }
    if (contentType !== undefined) headers["content-type"] = contentType
    return await this.#request(url, { method, headers, ...(body === undefined ? {} : { body }) })
  }

  async #request(
    url: URL,
    options: { method: Exchange["method"]; headers: Record<string, string>; body?: Uint8Array | Readable },
  ): Promise<Streamed> {
    const timeout = AbortSignal.timeout(
      options.method === "PUT" || options.headers["range"] !== undefined ? 20 * callTimeout : callTimeout,
    )
    const signal = this.#signal === undefined ? timeout : AbortSignal.any([this.#signal, timeout])
    try {
      return await request(url, { ...options, dispatcher: this.#agent(url), signal })
    } catch (cause) {
      throw this.broken(url, cause)
    }
  }

  /** What a failed connection or a broken stream means. */
  broken(url: URL, cause: unknown): Error {
    if (this.#signal?.aborted === true) return asError(this.#signal.reason)
    const inner = cause instanceof Error && cause.cause instanceof ClientError ? cause.cause : cause
    if (inner instanceof ClientError) return inner
    const why = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause)
    return unavailable(`cannot talk to ${url.origin}: ${why}`, {
      cause,
      hint: "is the registry running, and reachable from here?",
    })
  }

  #authorization(url: URL): Record<string, string> {
    return this.#token !== undefined && this.stores.isRegistry(url) ? { authorization: `Bearer ${this.#token}` } : {}
  }

  // HTTPS_PROXY and NO_PROXY are honoured; NODE_EXTRA_CA_CERTS adds a private certificate authority.
  #agent(url: URL): EnvHttpProxyAgent {
    const lookup = this.stores.lookupFor(url)
    const known = this.#agents.get(lookup)
    if (known !== undefined) return known
    const agent = new EnvHttpProxyAgent({
      connect: { timeout: connectTimeout, ...(lookup === undefined ? {} : { lookup }) },
      headersTimeout: idleTimeout,
      bodyTimeout: idleTimeout,
    })
    this.#agents.set(lookup, agent)
    return agent
  }
}

/** Reads an answer to its end; more than `limit` bytes are refused (TOO_LARGE). */
async function readBody(body: AsyncIterable<Uint8Array>, limit: number, what: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      size += chunk.length
      if (size > limit) throw new ClientError("TOO_LARGE", `the answer to ${what} exceeds ${limit} bytes`)
      chunks.push(chunk)
    }
  } catch (cause) {
    if (cause instanceof ClientError) throw cause
    throw unavailable(`the answer to ${what} broke off`, { cause })
  }
  return Buffer.concat(chunks)
}

/** An RFC 9457 problem, or anything else that is no success. */
export function problem(status: number, body: Uint8Array, what: string): ClientError {
  const document = readProblem(body)
  const detail = typeof document["detail"] === "string" ? document["detail"] : `status ${status}`
  const hint = typeof document["hint"] === "string" ? { hint: printable(document["hint"]) } : {}
  return new ClientError(codeOf(status, document["code"]), `${what}: ${printable(detail)}`, hint)
}

function readProblem(body: Uint8Array): Record<string, JsonValue> {
  try {
    const value = parseJson(body, "the problem")
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {}
  } catch {
    return {}
  }
}

// What a server says ends up on a terminal.
function printable(text: string): string {
  return text.slice(0, 2000).replaceAll(/[\p{Cc}\p{Cf}]/gu, " ")
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new ClientError("USAGE", "stopped")
}
