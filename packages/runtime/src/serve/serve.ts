/**
 * TF Serving's REST interface over verified models, on plain node:http.
 *
 *     const { url, close } = await serveModels([{ name: "mnist", model }], { port: 8501 })
 *     // curl -d '{"instances":[[[0,…],…]]}' http://127.0.0.1:8501/v1/models/mnist:predict
 */
import { createServer, type Server } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { isLoopbackHost } from "@weighlock/node"
import { messageOf, RuntimeError } from "../errors.ts"
import type { Model } from "../model.ts"
import { defaultMaxAnswer, defaultMaxRows, defaultPredictTimeout, longestTimer, requireCount } from "../options.ts"
import { type App, type Limits, respond } from "./app.ts"
import { Bodies } from "./bodies.ts"
import { Outgoing } from "./outgoing.ts"
import { pageOf } from "./page.ts"

export interface ServedModel {
  /** As in the URL: letters, digits, `.`, `_`, `-`. */
  readonly name: string
  readonly model: Model
}

export interface ServeOptions {
  /** Default 127.0.0.1. There is no authentication: what can reach the port can ask. */
  readonly host?: string
  /** Default 8501, TF Serving's; 0 takes a free one. */
  readonly port?: number
  /** Bytes a request body may have; default 32 MiB, less where `maxRows` rows of the model's input take less as JSON. */
  readonly maxBody?: number
  /** Rows a question may have (413 beyond); default 16384. */
  readonly maxRows?: number
  /** Bytes an answer may have (422 beyond); default 64 MiB. */
  readonly maxAnswer?: number
  /** Milliseconds after which a question is answered with 504; default 30 seconds, as a model has it. */
  readonly predictTimeout?: number
  /** A page at `/` to try the first model in a browser; pages of other origins are then refused with 403. Default false. */
  readonly page?: boolean
  /** Hears of errors that are no caller's fault. Default: standard error. */
  readonly onBug?: (error: unknown) => void
}

export interface Serving {
  readonly url: string
  /** Resolves with ENGINE_STUCK when one of the models will never answer again: the process should end, and be started anew. */
  readonly failed: Promise<RuntimeError>
  /** Takes no new requests, finishes those under way for up to ten seconds, then hangs up. The models live on. */
  close(): Promise<void>
}

const drainTime = 10_000
const mebibyte = 2 ** 20

/** Resolves when requests are answered. Throws USAGE for names that clash or a port that can't be had. */
export async function serveModels(models: readonly ServedModel[], options: ServeOptions = {}): Promise<Serving> {
  const { host = "127.0.0.1", port = 8501, page = false, onBug = console.error } = options
  const limits = limitsOf(options)
  const named = byName(models)
  const app: App = {
    models: named,
    page: page ? pageOf(named) : null,
    isLocal: isLoopbackHost(host),
    bodies: new Bodies(8 * limits.maxBody),
    outgoing: new Outgoing(4 * limits.maxAnswer),
    limits,
    onBug,
    draining: false,
  }
  const server = makeServer(app)
  await listen(server, host, port)
  const { address, family, port: bound } = server.address() as AddressInfo
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${bound}`,
    failed: Promise.race(models.map(({ model }) => model.failed)),
    close: once(() => drain(server, app)),
  }
}

function limitsOf({
  maxBody = 32 * mebibyte,
  maxRows = defaultMaxRows,
  maxAnswer = defaultMaxAnswer,
  predictTimeout = defaultPredictTimeout,
}: ServeOptions): Limits {
  requireCount("maxBody", maxBody, 256 * mebibyte)
  requireCount("maxRows", maxRows, Number.MAX_SAFE_INTEGER)
  requireCount("maxAnswer", maxAnswer, 1024 * mebibyte)
  requireCount("predictTimeout", predictTimeout, longestTimer)
  return { maxBody, maxRows, maxAnswer, predictTimeout }
}

function byName(models: readonly ServedModel[]): Map<string, Model> {
  const named = new Map<string, Model>()
  for (const { name, model } of models) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name))
      throw new RuntimeError("USAGE", `${name} can't be a model's name in a URL`)
    if (named.has(name)) throw new RuntimeError("USAGE", `two models are named ${name}`, { hint: "write NAME=REF" })
    named.set(name, model)
  }
  return named
}

function makeServer(app: App): Server {
  const limits = {
    maxHeaderSize: 16 * 1024,
    headersTimeout: 10_000,
    requestTimeout: 60_000,
    connectionsCheckingInterval: 2_000,
  }
  const server = createServer({ ...limits, keepAliveTimeout: 5_000 }, (request, response) => {
    response.on("close", () => app.draining && server.closeIdleConnections())
    void respond(app, request, response)
  })
  server.maxConnections = 1024
  server.maxHeadersCount = 100
  // Without a byte either way: also a reader that stopped reading. Who waits for an answer has neither.
  server.timeout = Math.min(longestTimer, 120_000 + app.limits.predictTimeout)
  server.on("clientError", hangUp)
  return server
}

// What is no HTTP gets a short answer and the door.
function hangUp(error: NodeJS.ErrnoException, socket: Socket): void {
  const lines: Record<string, string> = {
    HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
    ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
  }
  if (!socket.writable || error.code === "ECONNRESET") socket.destroy()
  else
    socket.end(
      `HTTP/1.1 ${lines[error.code ?? ""] ?? "400 Bad Request"}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
    )
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void =>
      reject(new RuntimeError("USAGE", `can't listen on ${host}:${port}: ${messageOf(cause)}`, { cause }))
    server.once("error", fail)
    server.listen({ host, port }, () => {
      server.off("error", fail)
      resolve()
    })
  })
}

async function drain(server: Server, app: App): Promise<void> {
  app.draining = true
  const timer = setTimeout(() => server.closeAllConnections(), drainTime)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  clearTimeout(timer)
}

function once(action: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => (done ??= action())
}
