/**
 * One request to a witness: no redirect is followed, nothing is decompressed, the answer is small, and all of it takes a
 * bounded time. The addresses come from the trust root or the operator, never from a request.
 */
import { type IncomingMessage, Agent as HttpAgent, request as httpRequest } from "node:http"
import { Agent as HttpsAgent, request as httpsRequest } from "node:https"

import { decodeUtf8 } from "@weighlock/tlog"

export interface Answer {
  readonly status: number
  /** As sent, without parameters; "" when absent. */
  readonly type: string
  readonly body: string
}

const answerCap = 64 * 1024

export class Poster {
  readonly #timeout: number
  readonly #http = new HttpAgent({ keepAlive: true })
  readonly #https = new HttpsAgent({ keepAlive: true })

  /** `timeout` in ms, from connecting to the last byte. */
  constructor(timeout: number) {
    this.#timeout = timeout
  }

  /** Rejects with an Error that says what happened in a sentence's end: "did not answer within 2000 ms". */
  async post(url: URL, body: string): Promise<Answer> {
    return await this.#ask(url, body)
  }

  /** As `post`. */
  async get(url: URL): Promise<Answer> {
    return await this.#ask(url, null)
  }

  async #ask(url: URL, body: string | null): Promise<Answer> {
    const signal = AbortSignal.timeout(this.#timeout)
    try {
      return await this.#send(url, body, signal)
    } catch (cause) {
      if (signal.aborted) throw new Error(`did not answer within ${this.#timeout} ms`, { cause })
      throw cause
    }
  }

  close(): void {
    this.#http.destroy()
    this.#https.destroy()
  }

  async #send(url: URL, body: string | null, signal: AbortSignal, again = true): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const length = { "content-type": "text/plain; charset=utf-8", "content-length": Buffer.byteLength(body ?? "") }
    const options = body === null ? { method: "GET", signal } : { method: "POST", headers: length, signal }
    const request =
      url.protocol === "https:"
        ? httpsRequest(url, { ...options, agent: this.#https }, resolve)
        : httpRequest(url, { ...options, agent: this.#http }, resolve)
    request.on("error", reject)
    request.end(body ?? undefined)
    const response = await promise.catch((error: Error) => {
      // The witness had closed the connection that was kept: it has not read the request.
      if (again && request.reusedSocket && "code" in error && error.code === "ECONNRESET") return null
      throw error
    })
    if (response === null) return await this.#send(url, body, signal, false)
    return await read(response)
  }
}

async function read(response: IncomingMessage): Promise<Answer> {
  const { statusCode: status = 0, headers } = response
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > answerCap) throw new Error(`answered with more than ${answerCap} bytes`)
    chunks.push(chunk)
  }
  const body = decodeUtf8(Buffer.concat(chunks))
  if (body === null || headers["content-encoding"] !== undefined)
    throw new Error("answered with what is no plain UTF-8")
  return { status, type: (headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "", body }
}
