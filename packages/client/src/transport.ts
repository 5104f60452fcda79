/**
 * HTTP as this client speaks it: every exchange has a connect, an idle and a total time limit and a byte cap; nothing is
 * decompressed; redirects are never followed here; what may be asked again is, with growing pauses.
 */
import type { LookupFunction } from "node:net"
import { Readable } from "node:stream"
import { type Alive, NodeError, parseRetryAfter, type Proxy, proxyFor, readAtMost, retrying } from "@weighlock/node"
import type { Dispatcher } from "undici"
import { parseRegistryUrl, StorePolicy } from "./address.ts"
import { ClientError, unavailable, Unreachable } from "./errors.ts"
import { Incoming } from "./incoming.ts"
import { isWebPage, requireUntouched } from "./middlebox.ts"
import { problem } from "./problem.ts"
import { certificateHint, certificateProblem, isCertificateError } from "./tls.ts"

/** Takes 60 ms to load, which who asks nobody is spared. */
type Undici = typeof import("undici")
const loadUndici = (): Promise<Undici> => import("undici")

const connectTimeout = 10_000
const idleTimeout = 30_000
const callTimeout = 60_000
const problemLimit = 65_536

export interface TransportOptions {
  /** http(s) URL. */
  readonly registry: string
  readonly token?: string
  readonly allowStoreHosts?: readonly string[]
  readonly signal?: AbortSignal
  /** Nobody is asked: every call is Unreachable at once. */
  readonly offline?: boolean
}

export interface Exchange {
  /** In the words of whoever reads the error, such as `acme/mnist@1.0.0`. */
  readonly what: string
  readonly method: "GET" | "HEAD" | "POST" | "PUT"
  readonly body?: Uint8Array
  readonly contentType?: string
  /** Bytes of an answer that will be read; more is refused. */
  readonly limit: number
  /** The body may come with a Content-Encoding, which whoever asked decodes. Else such an answer is refused. */
  readonly mayBeEncoded?: boolean
}

export interface Answer {
  readonly status: number
  /** Content-Encoding: nothing is decoded here. */
  readonly encoding: string | undefined
  readonly body: Uint8Array
}

export class Transport {
  readonly registry: URL
  readonly stores: StorePolicy
  readonly signal: AbortSignal | undefined
  readonly #token: string | undefined
  /** Nobody is asked. */
  readonly isOffline: boolean
  readonly #agents = new Map<LookupFunction | string | undefined, Dispatcher>()

  constructor(options: TransportOptions) {
    this.registry = parseRegistryUrl(options.registry)
    this.stores = new StorePolicy(this.registry, options.allowStoreHosts)
    this.#token = checkedToken(options.token)
    this.signal = options.signal
    this.isOffline = options.offline === true
    wayTo(this.registry) // a variable that is no proxy's address is said before anything is tried
  }

  /** One call to the registry, retried where that is safe. `path` is relative to the registry's URL. */
  async call(path: string, exchange: Exchange): Promise<Answer> {
    return await this.retrying(async (alive) => {
      const answer = await this.#send(new URL(path, this.registry), exchange)
      alive(retryAfter(answer))
      const body = await readBody(answer.body, answer.statusCode < 300 ? exchange.limit : problemLimit, exchange.what)
      const received = { headers: answer.headers, body }
      if (answer.statusCode >= 300) throw problem(answer.statusCode, body, exchange.what, isWebPage(received))
      requireUntouched(received, exchange.what, exchange.mayBeEncoded ?? false)
      const encoding = answer.headers["content-encoding"]
      return { status: answer.statusCode, encoding: encoding === undefined ? undefined : String(encoding), body }
    })
  }

  /** Opens a GET at the registry, or at a store it named (then without the token). Not retried. The caller reads it or stops it. */
  async open(url: URL, headers: Record<string, string> = {}): Promise<Incoming> {
    this.#requireOnline(url)
    const broken = (cause: unknown): unknown => this.broken(url, cause)
    const undici = await loadUndici()
    const incoming = new Incoming({ signal: this.#limit(headers["range"] !== undefined), broken })
    const { origin, pathname, search } = url
    this.#agent(url, undici).dispatch(
      { origin, path: pathname + search, method: "GET", headers: { ...this.#authorization(url), ...headers } },
      incoming,
    )
    return await incoming.begun
  }

  /** Sends `length` bytes to a granted address: PUT only, no redirect, never with the token. Tells `alive` of an answer. */
  async put(
    url: URL,
    what: string,
    headers: Record<string, string>,
    body: AsyncIterable<Uint8Array>,
    length: number,
    alive: Alive,
  ): Promise<void> {
    const answer = await this.#request(url, {
      method: "PUT",
      headers: { ...headers, "content-length": String(length) },
      body: Readable.from(body, { objectMode: false }),
    })
    alive(retryAfter(answer))
    const text = await readBody(answer.body, problemLimit, what)
    if (answer.statusCode < 200 || answer.statusCode > 204)
      throw problem(answer.statusCode, text, `${what} to ${url.origin}`)
  }

  /** Asks again after UNAVAILABLE: an answer of 408, 429 or 503, a connection that broke; not after a bad certificate. */
  async retrying<T>(task: (alive: Alive) => Promise<T>): Promise<T> {
    return await retrying(task, { mayHelp, signal: this.signal })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()))
  }

  async #send(url: URL, { method, body, contentType }: Exchange): Promise<Dispatcher.ResponseData> {
    const headers: Record<string, string> = { ...this.#authorization(url), accept: "application/json" }
    if (contentType !== undefined) headers["content-type"] = contentType
    return await this.#request(url, { method, headers, ...(body === undefined ? {} : { body }) })
  }

  async #request(
    url: URL,
    options: { method: Exchange["method"]; headers: Record<string, string>; body?: Uint8Array | Readable },
  ): Promise<Dispatcher.ResponseData> {
    this.#requireOnline(url)
    const undici = await loadUndici()
    const signal = this.#limit(options.method === "PUT")
    try {
      return await undici.request(url, { ...options, dispatcher: this.#agent(url, undici), signal })
    } catch (cause) {
      throw this.broken(url, cause)
    }
  }

  #requireOnline(url: URL): void {
    if (this.isOffline) throw new NotAsked(`offline, so ${url.origin} is not asked`)
  }

  /** The caller's signal, and the time that one exchange may take: longer when it moves a part of a file. */
  #limit(isPart: boolean): AbortSignal {
    const timeout = AbortSignal.timeout(isPart ? 20 * callTimeout : callTimeout)
    return this.signal === undefined ? timeout : AbortSignal.any([this.signal, timeout])
  }

  /** What a failed connection or a broken stream means; the reason, whatever it is, of a caller who has stopped it. */
  broken(url: URL, cause: unknown): unknown {
    if (this.signal?.aborted === true) return this.signal.reason
    const inner = cause instanceof Error && cause.cause instanceof ClientError ? cause.cause : cause
    if (inner instanceof ClientError) return inner
    const certificate = certificateProblem(cause)
    const hint =
      certificate === null ? "is the registry running, and reachable from here?" : certificateHint(certificate)
    const why = certificate ?? reasonOf(cause)
    if (why === "UND_ERR_INVALID_ARG")
      return new ClientError("PROTOCOL", `no request to ${url.origin} can be made`, { cause })
    const proxy = wayTo(url)
    if (proxy === null) return noAnswer(`cannot talk to ${url.origin}: ${why}`, { cause, hint })
    return noAnswer(`cannot talk to ${url.origin} through ${proxy.name}: ${why}`, {
      cause,
      hint:
        certificate === null
          ? `does the proxy run, and let ${url.host} through? NO_PROXY=${url.hostname} goes without it`
          : hint,
    })
  }

  #authorization(url: URL): Record<string, string> {
    return this.#token !== undefined && this.stores.isRegistry(url) ? { authorization: `Bearer ${this.#token}` } : {}
  }

  // NODE_EXTRA_CA_CERTS adds a private certificate authority.
  #agent(url: URL, { Agent, ProxyAgent }: Undici): Dispatcher {
    const lookup = this.stores.lookupFor(url)
    const proxy = wayTo(url)
    const key = proxy?.url.href ?? lookup
    const known = this.#agents.get(key)
    if (known !== undefined) return known
    const connect = { timeout: connectTimeout, ...(lookup === undefined ? {} : { lookup }) }
    const limits = { headersTimeout: idleTimeout, bodyTimeout: idleTimeout }
    const agent =
      proxy === null
        ? new Agent({ ...limits, connect })
        : new ProxyAgent({
            ...limits,
            uri: proxy.url.href,
            proxyTls: { timeout: connectTimeout },
            requestTls: { timeout: connectTimeout },
          })
    this.#agents.set(key, agent)
    return agent
  }
}

/** Which proxy leads there, or `null`. Throws USAGE for a variable of the environment that is no proxy's address. */
function wayTo(url: URL): Proxy | null {
  try {
    return proxyFor(url)
  } catch (cause) {
    if (!(cause instanceof NodeError)) throw cause
    const { message, hint } = cause
    throw new ClientError("USAGE", message, { cause, ...(hint !== undefined && { hint }) })
  }
}

/** Unreachable, unless the other side has answered after all: with a certificate that does not hold, or as a proxy that refuses. */
function noAnswer(message: string, { cause, hint }: { readonly cause: unknown; readonly hint: string }): ClientError {
  const isAnswer = isCertificateError(cause) || proxyRefusal.test(reasonsOf(cause))
  return isAnswer ? unavailable(message, { cause, hint }) : new Unreachable(message, { cause, hint })
}

/** As undici words what a proxy says to CONNECT. */
const proxyRefusal = /Proxy response \((?!50[234]\))/

function reasonsOf(cause: unknown): string {
  const messages: string[] = []
  for (let at = cause, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) messages.push(at.message)
  return messages.join("\n")
}

class NotAsked extends Unreachable {}

function mayHelp(error: unknown): boolean {
  if (error instanceof NotAsked) return false
  return error instanceof ClientError && error.code === "UNAVAILABLE" && !isCertificateError(error.cause)
}

/** What an answer says about when to ask again, ms. */
export function retryAfter({ headers }: Pick<Dispatcher.ResponseData, "headers">): number {
  const { "retry-after": text } = headers
  return typeof text === "string" ? parseRetryAfter(text) : 0
}

/** Reads an answer to its end; more than `limit` bytes are refused (TOO_LARGE). */
async function readBody(body: AsyncIterable<Uint8Array>, limit: number, what: string): Promise<Uint8Array> {
  const { bytes, isAll } = await readAtMost(body, limit).catch((cause: unknown) => {
    throw new Unreachable(`the answer to ${what} broke off`, { cause })
  })
  if (isAll) return bytes
  throw new ClientError("TOO_LARGE", `the answer to ${what} exceeds ${limit} bytes`)
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const { code } = cause as { code?: unknown } // a number where a time limit was reached
  return typeof code === "string" ? code : cause.message
}

// RFC 6750 §2.1: what may follow "Bearer ". The token itself is in no message.
function checkedToken(token: string | undefined): string | undefined {
  if (token === undefined || /^[\x21-\x7e]+$/.test(token)) return token
  throw new ClientError("USAGE", "the token is empty or has characters that no token has", {
    hint: "look for a line break or a space at the end of WEIGHLOCK_TOKEN",
  })
}
