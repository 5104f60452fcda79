/**
 * Ends connections of clients that send and do not read. Node's own timeout takes whatever they send for life, so that one byte
 * now and then would hold every file they have asked for open, for ever.
 */
import type { Server } from "node:http"
import type { Socket } from "node:net"

interface Taken {
  /** Bytes of ours that the system has taken for the client. */
  readonly bytes: number
  /** When they last became more, or nothing was waiting. */
  readonly at: number
}

/** Of what is written at once to a connection, all must be taken within `limit` ms. */
export function endStalled(server: Server, limit: number): void {
  const connections = new Map<Socket, Taken>()
  const look = (): void => {
    const now = performance.now()
    for (const [socket, last] of connections) {
      const bytes = socket.bytesWritten - socket.writableLength
      if (socket.writableLength === 0 || bytes !== last.bytes) connections.set(socket, { bytes, at: now })
      else if (now - last.at > limit) socket.destroy()
    }
  }
  const add = (socket: Socket): void => {
    connections.set(socket, { bytes: 0, at: performance.now() })
    socket.once("close", () => connections.delete(socket))
  }
  server.on("connection", add).on("secureConnection", add)
  const timer = setInterval(look, Math.min(5000, limit / 4)).unref()
  server.once("close", () => clearInterval(timer))
}
