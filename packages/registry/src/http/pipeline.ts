/**
 * Requests that come on one connection before those ahead of them are answered (pipelining, RFC 9112 §9.3.2). Node hands
 * over all that it has read, thousands at once; here so many of a connection are under way, and what is beyond is not read:
 *
 *     GET … GET … GET …     64: answered, in their order
 *     GET …                 503 UNAVAILABLE, retry-after: 1, connection: close
 *     GET … GET … GET …     nothing: the connection ends after the answers above
 */
import type { Socket } from "node:net"

import { RegistryError } from "../errors.ts"
import type { App } from "./app.ts"
import { sendProblem } from "./problem.ts"

/**
 * Twice what any client has that means well: browsers and most libraries wait for each answer, apt sends ten ahead. Twice,
 * because a client that has an answer may send the next request before this side knows that the answer has gone.
 */
const mostUnderWay = 64

/** Those of every connection that are not answered yet; Infinity where one was refused. */
const underWay = new WeakMap<Socket, number>()

export function isGivenUp(socket: Socket): boolean {
  return underWay.get(socket) === Number.POSITIVE_INFINITY
}

/** Has `app` answer at most 64 requests of a connection at once; whoever has 32 waiting is never refused. */
export function pipelined(app: App): App {
  return (request, response) => {
    const { socket } = request
    const count = underWay.get(socket) ?? 0
    if (count < mostUnderWay) {
      underWay.set(socket, count + 1)
      response.once("close", () => underWay.set(socket, (underWay.get(socket) ?? 1) - 1))
      return app(request, response)
    }
    if (isGivenUp(socket)) return // what Node had read already
    underWay.set(socket, Number.POSITIVE_INFINITY)
    readNoMore(socket)
    const message = `more than ${mostUnderWay} requests of one connection are waiting for their answers`
    response.setHeader("connection", "close")
    sendProblem(request, response, new RegistryError("UNAVAILABLE", message))
  }
}

/** Takes it from the parser. What still comes is dropped: bytes that nobody took would have the connection cut, answers and all. */
function readNoMore(socket: Socket): void {
  socket.removeAllListeners("data").removeAllListeners("end")
  socket.on("data", () => undefined)
}
