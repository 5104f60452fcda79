/**
 * A proxy in front of a real registry that does what it is told to each answer: flip a byte, cut it, lie about it, send
 * the client elsewhere, or fall silent.
 *
 *     const proxy = await startHostile(t, registryUrl)
 *     proxy.rule = (exchange) => exchange.isBlob ? { ...exchange.answer, body: flipByte(exchange.answer.body) } : null
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { TestContext } from "node:test"

export interface Answer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: Buffer
  /** After the body: `end` as HTTP says, `break` the connection, `stall`, or `flood` it with zeros without an end. */
  readonly then?: "end" | "break" | "stall" | "flood"
  /** A Content-Length that is not the body's. */
  readonly claims?: number
}

export interface Exchange {
  readonly method: string
  /** With query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** What the registry really answered. */
  readonly answer: Answer
  readonly isBlob: boolean
  /** From 1: how often this method and path were asked. */
  readonly count: number
  /** What the client is answered on. */
  readonly response: ServerResponse
}

/** `null` passes the answer on as it is. A promise holds the answer back. */
export type Rule = (exchange: Exchange) => Answer | null | Promise<Answer | null>

export interface Hostile {
  readonly url: string
  /** The registry that is asked. */
  target: string
  rule: Rule
  readonly seen: Omit<Exchange, "answer" | "response">[]
  /** Bytes that went out in bodies. */
  sent: number
}

export async function startHostile(t: TestContext, target: string, rule: Rule = () => null): Promise<Hostile> {
  const counts = new Map<string, number>()
  const server = createServer((request, response) => {
    void handle(request, response).catch(() => response.destroy())
  })
  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request
    const key = `${method} ${url}`
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    const exchange = { method, path: url, headers, body: await all(request), isBlob: /\/blobs\//.test(url), count }
    hostile.seen.push(exchange)
    const answer = await forward(hostile.target, exchange)
    hostile.sent += await send(response, (await hostile.rule({ ...exchange, answer, response })) ?? answer)
  }
  server.on("clientError", (_, socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const hostile: Hostile = { url: `http://127.0.0.1:${port}`, target, rule, seen: [], sent: 0 }
  return hostile
}

async function all(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const passed = ["authorization", "content-type", "range", "weighlock-grant", "accept"]

async function forward(
  target: string,
  { method, path, headers, body }: Omit<Exchange, "answer" | "response">,
): Promise<Answer> {
  const own = Object.fromEntries(
    passed.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]])),
  )
  const response = await fetch(target + path, {
    method,
    headers: { connection: "close", ...own }, // a kept one may end in the moment it is used again
    redirect: "manual",
    ...(body.length > 0 && { body: new Uint8Array(body) }),
  })
  const kept = ["content-type", "content-range", "etag", "location"]
  return {
    status: response.status,
    headers: Object.fromEntries(
      kept.flatMap((name) => (response.headers.get(name) === null ? [] : [[name, response.headers.get(name) ?? ""]])),
    ),
    body: Buffer.from(await response.arrayBuffer()),
  }
}

async function send(
  response: ServerResponse,
  { status, headers, body, then = "end", claims }: Answer,
): Promise<number> {
  const length = claims ?? (then === "flood" ? undefined : body.length)
  response.writeHead(status, { ...headers, ...(length !== undefined && { "content-length": String(length) }) })
  response.write(body)
  if (then === "end" && (claims === undefined || claims === body.length)) response.end()
  if (then === "end" && claims !== undefined && claims !== body.length) response.destroy()
  if (then === "break") setTimeout(() => response.destroy(), 20)
  if (then !== "flood") return body.length
  let sent = body.length
  const zeros = Buffer.alloc(65_536)
  let open = true
  response.on("close", () => (open = false))
  while (open && sent < 2 ** 28) {
    if (!response.write(zeros)) await new Promise((resolve) => response.once("drain", resolve).once("close", resolve))
    sent += zeros.length
  }
  return sent
}

export function flipByte(body: Buffer, at: number = body.length >> 1): Buffer {
  const changed = Buffer.from(body)
  changed[at] = (changed[at] ?? 0) ^ 0x40
  return changed
}

/** An answer made up from nothing. */
export function made(
  status: number,
  body: string | Buffer | object = "",
  headers: Record<string, string> = {},
): Answer {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body))
  return { status, headers: { "content-type": "application/json", ...headers }, body: bytes }
}
