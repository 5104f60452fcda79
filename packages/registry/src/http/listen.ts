/** The HTTP server around the application: limits on headers, time and connections, and a drain that ends. */
import { type IncomingMessage, type Server, createServer } from "node:http"
import { createServer as createTlsServer } from "node:https"
import type { AddressInfo, Socket } from "node:net"

import type { OpenedConfig, Timeouts } from "../config.ts"
import { RegistryError } from "../errors.ts"
import type { App } from "./app.ts"
import { isGivenUp, pipelined } from "./pipeline.ts"
import { endStalled } from "./stalled.ts"

/** The part of the configuration that says where and how to listen. */
export type Place = Pick<OpenedConfig, "host" | "port" | "tls" | "timeouts">

export interface Listening {
  readonly url: string
  close(): Promise<void>
}

const maxHeaderBytes = 16 * 1024
const maxConnections = 4096

/** Throws USAGE when the address can't be had, or the TLS files are not a certificate and its key. */
export async function listen(app: App, { host, port, tls, timeouts }: Place): Promise<Listening> {
  const server = create(pipelined(app), tls, timeouts)
  server.timeout = timeouts.idle
  server.maxConnections = maxConnections
  server.maxHeadersCount = 0 // none is dropped silently: the bytes are limited here, the number by the guard
  server.on("clientError", refuse)
  server.on("dropRequest", (_request: IncomingMessage, socket: Socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => reject(cannotListen(`${host}:${port}`, cause)))
    server.listen({ host, port }, resolve)
  })
  endStalled(server, timeouts.taken)
  const { address, family, port: actual } = server.address() as AddressInfo
  const name = host === "localhost" ? host : family === "IPv6" ? `[${address}]` : address
  return { url: `${tls ? "https" : "http"}://${name}:${actual}`, close: () => drain(server, timeouts.drain) }
}

const listenFaults: Readonly<Record<string, string>> = {
  EADDRINUSE: "it is in use by another process",
  EADDRNOTAVAIL: "this machine does not have that address",
  EACCES: "this user may not use that port",
  ENOTFOUND: "there is no such host",
}

function cannotListen(place: string, cause: NodeJS.ErrnoException): RegistryError {
  const code = cause.code ?? "unknown"
  const why = listenFaults[code]
  return new RegistryError("USAGE", `can't listen on ${place}: ${why ? `${why} (${code})` : code}`, { cause })
}

function create(app: App, tls: OpenedConfig["tls"], timeouts: Timeouts): Server {
  const options = {
    headersTimeout: timeouts.headers,
    requestTimeout: timeouts.request,
    keepAliveTimeout: 5000,
    connectionsCheckingInterval: Math.min(1000, timeouts.headers),
    maxHeaderSize: maxHeaderBytes,
    noDelay: true,
  }
  if (!tls) return createServer(options, app)
  try {
    return createTlsServer({ ...options, ...tls, minVersion: "TLSv1.2" }, app)
  } catch (cause) {
    throw new RegistryError("USAGE", "the TLS files are not a certificate and its key", { cause })
  }
}

interface Refusal {
  readonly line: string
  readonly code: "UNAVAILABLE" | "USAGE"
  readonly detail: string
}

const notHttp: Refusal = { line: "400 Bad Request", code: "USAGE", detail: "not a request this server reads" }
const refusals: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: { ...notHttp, line: "431 Request Header Fields Too Large" },
  // RFC 9110 §15.5.9: the client may send it again, on another connection.
  ERR_HTTP_REQUEST_TIMEOUT: {
    line: "408 Request Timeout",
    code: "UNAVAILABLE",
    detail: "the request did not arrive in time; send it again",
  },
}

/** What is not HTTP never reaches the application. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy()
  if (isGivenUp(socket)) return // half a request that nobody reads on
  const { line, code, detail } = refusals[error.code ?? ""] ?? notHttp
  const title = code.charAt(0) + code.slice(1).toLowerCase()
  const body = JSON.stringify({
    type: `urn:weighlock:error:${code}`,
    title,
    status: Number(line.slice(0, 3)),
    detail,
    code,
  })
  const head = `HTTP/1.1 ${line}\r\ncontent-type: application/problem+json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`
  socket.end(head + body, () => socket.destroy())
}

async function drain(server: Server, limit: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  const cut = setTimeout(() => server.closeAllConnections(), limit)
  await closed
  clearInterval(idle)
  clearTimeout(cut)
}
