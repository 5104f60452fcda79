/**
 * A proxy that does to chosen exchanges what networks and stores do: loses, cuts, flips, delays, answers something else.
 *
 *     const proxy = await FaultProxy.start(t, rgw.endpoint)
 *     proxy.fault("PUT", /partNumber=2/, { kind: "lost answer" }, 1)     // the bucket has it, the client is not told
 *
 * The Host header goes through as it is, so signatures hold.
 */
import { type IncomingMessage, type Server, type ServerResponse, createServer, request as send } from "node:http"
import type { AddressInfo } from "node:net"
import { Transform, type TransformCallback } from "node:stream"
import type { TestContext } from "node:test"

export type Fault =
  /** Before anything is forwarded. */
  | { readonly kind: "reset" | "stall" }
  | { readonly kind: "delay"; readonly ms: number }
  /** Instead of forwarding. */
  | { readonly kind: "answer"; readonly status: number; readonly body: string }
  /** Forwarded and done; the connection is reset instead of the answer. */
  | { readonly kind: "lost answer" }
  /** So many bytes of the answer's body, then the connection ends. */
  | { readonly kind: "cut"; readonly after: number }
  /** So many bytes of the answer's body, and the length says that this is all. */
  | { readonly kind: "short"; readonly after: number }
  /** So many bytes of the answer's body, then nothing more. */
  | { readonly kind: "hang"; readonly after: number }
  /** One bit of a body is another. */
  | { readonly kind: "flip answer" | "flip request"; readonly at: number }
  /** The answer claims to be the whole, or another range. */
  | { readonly kind: "ignored range" | "other range" }
  /** Forwarded, and answered with this instead. */
  | { readonly kind: "other answer"; readonly status: number; readonly body: string }

interface Rule {
  readonly method: string
  readonly path: RegExp
  readonly fault: Fault
  left: number
}

export const errorXml = (code: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>no</Message></Error>`

export class FaultProxy {
  readonly url: string
  readonly #upstream: URL
  #rules: Rule[] = []
  /** Bytes of answers' bodies. */
  sent = 0
  /** `PUT /models/…` of every request. */
  readonly seen: string[] = []
  /** How often a fault was done. */
  faults = 0

  private constructor(server: Server, upstream: string) {
    this.#upstream = new URL(upstream)
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  static async start(t: TestContext, upstream: string): Promise<FaultProxy> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const proxy = new FaultProxy(server, upstream)
    server.on("request", (request: IncomingMessage, response: ServerResponse) => proxy.#take(request, response))
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    return proxy
  }

  /** For the next `times` exchanges that fit. Of several rules the first counts. */
  fault(method: string, path: RegExp, fault: Fault, times: number = Number.POSITIVE_INFINITY): void {
    this.#rules.push({ method, path, fault, left: times })
  }

  heal(): void {
    this.#rules = []
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const { method = "", url = "" } = request
    this.seen.push(`${method} ${url}`)
    for (const stream of [request, response]) stream.on("error", () => undefined)
    const rule = this.#rules.find((each) => each.left > 0 && each.method === method && each.path.test(url))
    if (!rule) return this.#forward(request, response, null)
    rule.left -= 1
    this.faults += 1
    const { fault } = rule
    if (fault.kind === "reset") return void request.socket.resetAndDestroy()
    if (fault.kind === "stall") return void request.resume()
    if (fault.kind === "delay") return void setTimeout(() => this.#forward(request, response, null), fault.ms).unref()
    if (fault.kind !== "answer") return this.#forward(request, response, fault)
    request.resume()
    response.writeHead(fault.status, { "content-type": "application/xml" }).end(fault.body)
  }

  #forward(request: IncomingMessage, response: ServerResponse, fault: Fault | null): void {
    const { method, url: path, headers } = request
    const { hostname: host, port } = this.#upstream
    const upstream = send({ host, port, method, path, headers, agent: false }, (answer) => {
      this.#answer(request, response, answer, fault)
    })
    upstream.on("error", () => request.socket.destroy())
    response.on("close", () => upstream.destroy())
    request.pipe(fault?.kind === "flip request" ? flipping(fault.at) : passing()).pipe(upstream)
  }

  #answer(request: IncomingMessage, response: ServerResponse, answer: IncomingMessage, fault: Fault | null): void {
    answer.on("error", () => request.socket.destroy())
    if (fault?.kind === "lost answer" || fault?.kind === "other answer") {
      answer.resume().on("end", () => {
        if (fault.kind === "lost answer") request.socket.resetAndDestroy()
        else response.writeHead(fault.status, { "content-type": "application/xml" }).end(fault.body)
      })
      return
    }
    const headers = { ...answer.headers }
    let status = answer.statusCode ?? 0
    if (fault?.kind === "short") headers["content-length"] = String(fault.after)
    if (fault?.kind === "ignored range") {
      status = 200
      delete headers["content-range"]
    }
    if (fault?.kind === "other range") headers["content-range"] = `bytes 1-${headers["content-length"]}/999999999`
    response.writeHead(status, headers)
    answer.on("data", (chunk: Buffer) => (this.sent += chunk.length))
    if (fault?.kind === "cut" || fault?.kind === "short" || fault?.kind === "hang") {
      cutShort(answer, response, fault)
    } else answer.pipe(fault?.kind === "flip answer" ? flipping(fault.at) : passing()).pipe(response)
  }
}

function cutShort(
  answer: IncomingMessage,
  response: ServerResponse,
  { kind, after }: { readonly kind: "cut" | "short" | "hang"; readonly after: number },
): void {
  let left = after
  answer.on("end", () => response.end())
  answer.on("data", (chunk: Buffer) => {
    if (left > 0) response.write(chunk.subarray(0, left))
    left -= chunk.length
    if (left > 0) return
    answer.pause()
    if (kind === "short") response.end()
    if (kind === "cut") setTimeout(() => response.destroy(), 20)
  })
}

const passing = (): Transform => new Transform({ transform: (chunk, _, done: TransformCallback) => done(null, chunk) })

function flipping(at: number): Transform {
  let seen = 0
  return new Transform({
    transform(chunk: Buffer, _, done) {
      const place = at - seen
      seen += chunk.length
      if (place < 0 || place >= chunk.length) return done(null, chunk)
      const copy = Buffer.from(chunk)
      copy[place] = (copy[place] ?? 0) ^ 1
      done(null, copy)
    },
  })
}
