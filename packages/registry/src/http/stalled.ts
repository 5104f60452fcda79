/**
 * Ends connections of clients that send and do not read. Node's own timeout takes whatever they send for life, so that one byte
 * now and then would hold every file they have asked for open, for ever.
 */
import type { Server } from "node:http"
import type { Socket } from "node:net"

interface Taken {
  /** Bytes of ours that the system has taken for the client. */
  readonly bytes: number
  /** Milliseconds since they last became more, or nothing was waiting. */
  readonly waited: number
}

/**
 * Of what is written at once to a connection, all must be taken within `limit` ms. Time in which this process itself stood
 * still counts for little: nobody was sent anything then.
 */
export function endStalled(server: Server, limit: number): void {
  const connections = new Map<Socket, Taken>()
  const interval = Math.min(5000, limit / 4)
  let looked = performance.now()
  const look = (): void => {
    const passed = Math.min(performance.now() - looked, 2 * interval)
    looked = performance.now()
    for (const [socket, last] of connections) {
      const bytes = socket.bytesWritten - socket.writableLength
      const waited = socket.writableLength === 0 || bytes !== last.bytes ? 0 : last.waited + passed
      if (waited > limit) socket.destroy()
      else connections.set(socket, { bytes, waited })
    }
  }
  const add = (socket: Socket): void => {
    connections.set(socket, { bytes: 0, waited: 0 })
    socket.once("close", () => connections.delete(socket))
  }
  server.on("connection", add).on("secureConnection", add)
  const timer = setInterval(look, interval).unref()
  server.once("close", () => clearInterval(timer))
}
