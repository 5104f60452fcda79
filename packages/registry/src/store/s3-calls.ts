/**
 * Calls to one bucket through the AWS SDK, with what the SDK leaves open: a limit on the time of every call and every silence
 * and on the size of every answer, and one error, UNAVAILABLE, for whatever a bucket does that it should not.
 *
 *     await calls.run("HEAD", (client, options) => client.send(new HeadObjectCommand(calls.at("blobs/…")), options))
 *     UNAVAILABLE  the bucket failed at HEAD: AccessDenied
 *
 * Keys are below the prefix. Credentials come by the SDK's own chain: environment, profile, web identity, container, instance.
 */
import type { Agent } from "node:http"

import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3"

import { RegistryError } from "../errors.ts"
import { HttpClient, NodeError, type Proxy, proxyFor } from "@weighlock/node"
import { agentFor } from "@weighlock/node/agents"
import { capAnswers } from "./s3-answers.ts"
import type { S3Place } from "./s3-place.ts"
import { type S3Timeouts, defaultTimeouts } from "./s3-timeouts.ts"
import type { Credentials } from "./sigv4.ts"

export interface CallOptions {
  readonly abortSignal: AbortSignal
  readonly requestTimeout: number
}
type Work<T> = (client: S3Client, options: CallOptions) => Promise<T>

export const attempts = 3

export class Calls {
  readonly place: S3Place
  readonly timeouts: S3Timeouts
  /** For what the SDK does not send: grants and links, as a client uses them. Of an answer the first 64 KiB are enough. */
  readonly http: HttpClient
  readonly #proxy: Proxy | null
  readonly #client: S3Client
  /** Has connections of its own: bodies that nobody reads on would keep the others busy. */
  readonly #bodies: S3Client
  readonly #underWay = new Set<AbortController>()
  #closed = false

  constructor(place: S3Place, timeouts: Partial<S3Timeouts> = {}) {
    this.place = place
    this.timeouts = { ...defaultTimeouts, ...timeouts }
    const { connect, idle } = this.timeouts
    this.http = new HttpClient({ connectMs: connect, totalMs: idle, maxBytes: 65_536, whenLarger: "cut", ca: place.ca })
    this.#proxy = proxyOf(place)
    const settings = settingsOf(place, this.timeouts, this.#proxy)
    this.#client = capAnswers(new S3Client(settings()))
    this.#bodies = capAnswers(new S3Client({ ...settings(), credentials: this.#client.config.credentials }))
  }

  /** Ends every call under way. */
  close(): void {
    this.#closed = true
    for (const limit of this.#underWay) limit.abort(odd("the registry stops"))
    this.http.close()
    this.#client.destroy()
    this.#bodies.destroy()
  }

  async run<T>(what: string, work: Work<T>): Promise<T> {
    return await this.#within(what, this.timeouts.call, this.timeouts.idle, work)
  }

  /** For calls that the store answers when it has done something large. */
  async runLong<T>(what: string, work: Work<T>): Promise<T> {
    return await this.#within(what, this.timeouts.work, this.timeouts.work, work)
  }

  /** At most `ms`. */
  async runShort<T>(ms: number, what: string, work: Work<T>): Promise<T> {
    return await this.#within(what, ms, ms, work)
  }

  /** For an answer with a body, which `signal` ends for as long as it is read. */
  async open<T>(what: string, signal: AbortSignal, work: Work<T>): Promise<T> {
    const options = { abortSignal: signal, requestTimeout: this.timeouts.idle }
    return await this.run(what, () => work(this.#bodies, options))
  }

  /** A signal that fires when the store is closed; `done` lets go of it. */
  limit(): { readonly limit: AbortController; readonly done: () => void } {
    const limit = new AbortController()
    if (this.#closed) limit.abort(odd("the registry stops"))
    this.#underWay.add(limit)
    return { limit, done: () => this.#underWay.delete(limit) }
  }

  /** `null` when the object or upload is absent; a bucket that is absent is a fault. */
  async orAbsent<T>(what: string, work: Work<T>): Promise<T | null> {
    return await this.run(what, async (client, options) => {
      try {
        return await work(client, options)
      } catch (error) {
        if (statusOf(error) === 404 && nameOf(error) !== "NoSuchBucket") return null
        throw error
      }
    })
  }

  async #within<T>(what: string, ms: number, silence: number, work: Work<T>): Promise<T> {
    const { limit, done } = this.limit()
    const timer = setTimeout(() => limit.abort(odd(`no answer in ${ms} ms`)), ms)
    try {
      limit.signal.throwIfAborted()
      return await work(this.#client, { abortSignal: limit.signal, requestTimeout: silence })
    } catch (cause) {
      throw this.failed(what, limit.signal.aborted ? limit.signal.reason : cause)
    } finally {
      clearTimeout(timer)
      done()
    }
  }

  /** As the function, and names the proxy if one was asked. */
  failed(what: string, cause: unknown): RegistryError {
    return failed(what, cause, this.#proxy)
  }

  async credentials(): Promise<Credentials> {
    return await this.run("credentials", (client) => client.config.credentials())
  }

  at(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.place.bucket, Key: this.place.prefix + key }
  }

  /** As CopySource has it. */
  source(key: string): string {
    return `${this.place.bucket}/${this.place.prefix}${key}`
  }

  /** A listed key, without the prefix; `keys` is how those begin that were asked for. */
  below(keys: string, key: string | undefined): string {
    if (key?.startsWith(this.place.prefix + keys) !== true) throw odd("it lists a key that nobody asked for")
    return key.slice(this.place.prefix.length)
  }
}

/** Throws USAGE for a variable of the environment that is no proxy's address. */
function proxyOf({ endpoint }: S3Place): Proxy | null {
  try {
    return proxyFor(endpoint)
  } catch (cause) {
    if (!(cause instanceof NodeError)) throw cause
    const { message, hint } = cause
    throw new RegistryError("USAGE", message, { cause, ...(hint !== undefined && { hint }) })
  }
}

function settingsOf(place: S3Place, timeouts: S3Timeouts, proxy: Proxy | null): () => S3ClientConfig {
  const { protocol } = place.endpoint
  const agent = (): Agent => agentFor(protocol, proxy, { maxSockets: 64, ca: place.ca })
  return () => ({
    region: place.region,
    endpoint: place.endpoint.origin,
    forcePathStyle: !place.virtualHosted,
    maxAttempts: attempts,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    followRegionRedirects: false,
    requestHandler: {
      connectionTimeout: timeouts.connect,
      requestTimeout: timeouts.idle,
      throwOnRequestTimeout: true,
      [protocol === "https:" ? "httpsAgent" : "httpAgent"]: agent(),
    },
  })
}

class Odd extends Error {}

/** Something that no bucket should do, in our words. */
export function odd(message: string): Error {
  return new Odd(message)
}

/** UNAVAILABLE. Of what the bucket says only the name of its error is told on, if it looks like one. */
export function failed(what: string, cause: unknown, proxy: Proxy | null = null): RegistryError {
  if (cause instanceof RegistryError) return cause
  const name = nameOf(cause)
  const status = statusOf(cause)
  const known = /^[A-Za-z][A-Za-z0-9_]{1,63}$/.test(name) ? name : "no error that S3 has"
  const why = cause instanceof Odd ? cause.message : known
  const through = proxy === null ? "" : ` through ${proxy.name}`
  return new RegistryError(
    "UNAVAILABLE",
    `the bucket failed at ${what}${through}: ${why}${status ? ` (${status})` : ""}`,
    {
      cause,
    },
  )
}

/** Also of one that `failed` made. */
export function statusOf(error: unknown): number | undefined {
  if (error instanceof RegistryError) return statusOf(error.cause)
  const metadata = error instanceof Error && "$metadata" in error ? error.$metadata : undefined
  const status = (metadata as { httpStatusCode?: unknown } | undefined)?.httpStatusCode
  return typeof status === "number" ? status : undefined
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return ""
  const code = (error as NodeJS.ErrnoException).code // of a connection: ECONNREFUSED
  return typeof code === "string" ? code : error.name
}

/** What an answer must have. */
export function text(value: string | undefined): string {
  if (value === undefined || value === "") throw odd("an answer lacks a field")
  return value
}

/** What an answer must say again of what it was asked: an empty one, or that of somebody else, lists nothing either. */
export function requireEcho(asked: string, answered: string | undefined): void {
  if (answered !== asked) throw odd("the answer is to another question")
}

export function wholeNumber(value: number | undefined): number {
  if (value === undefined || !Number.isSafeInteger(value) || value < 0) throw odd("an answer lacks a number")
  return value
}

export interface Page<T> {
  readonly found: readonly T[]
  /** Where the next one begins; `undefined` on the last. */
  readonly next: string | undefined
}

/**
 * Walks a listing page by page. One that goes in circles is a fault, and so is one of more than `most` items, an empty page
 * that is not the last counting as one: a bucket could list for ever.
 */
export async function* paged<T>(most: number, page: (from: string | undefined) => Promise<Page<T>>): AsyncGenerator<T> {
  const seen = new Set<string>()
  let count = 0
  for (let from: string | undefined; ;) {
    const { found, next } = await page(from)
    count += next === undefined ? found.length : Math.max(1, found.length)
    if (count > most) throw failed("list", odd(`it has more than ${most} items`))
    yield* found
    if (next === undefined) return
    if (seen.has(next)) throw failed("list", odd("it goes in circles"))
    seen.add(next)
    from = next
  }
}
