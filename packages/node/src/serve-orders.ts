/** The thread's side of a `WorkerThread`. */
import { parentPort, type Transferable } from "node:worker_threads"
import { type OrderMessage, type ReplyMessage, reportThrown } from "./thread-messages.ts"

/** A reply whose buffers change threads instead of being copied. */
export class Moved<Reply> {
  readonly reply: Reply
  readonly transfer: readonly Transferable[]
  constructor(reply: Reply, transfer: readonly Transferable[]) {
    this.reply = reply
    this.transfer = transfer
  }
}

/**
 * Answers each order with what `handle` returns (or its promise, or a `Moved`), or with what it throws; the thread goes on
 * either way. Orders begin in the order of asking; those whose answer is a promise overlap. What must end the thread is
 * thrown outside of `handle`, as from `setImmediate`: by then the answer is on its way, and it arrives. `tell` says how far
 * an order has come.
 *
 * The types of orders and replies are the word of whoever writes both sides: nothing checks them on the way.
 */
export function serveOrders(handle: (order: never, tell: (progress: unknown) => void) => unknown): void {
  const port = parentPort
  if (port === null) throw new TypeError("orders are served in a worker thread only")
  const post = (message: ReplyMessage<unknown>, transfer: readonly Transferable[] = []): void =>
    port.postMessage(message, transfer)
  const fail = (id: number, thrown: unknown): void => post({ id, error: reportThrown(thrown) })
  const send = (id: number, answer: unknown): void => {
    try {
      if (answer instanceof Moved) post({ id, reply: answer.reply }, answer.transfer)
      else post({ id, reply: answer })
    } catch (error) {
      fail(id, error) // it cannot be cloned
    }
  }
  port.on("message", ({ id, order }: OrderMessage<never>) => {
    try {
      const answer = handle(order, (progress) => post({ id, progress }))
      if (answer instanceof Promise)
        answer.then(
          (found: unknown) => send(id, found),
          (error: unknown) => fail(id, error),
        )
      else send(id, answer)
    } catch (error) {
      fail(id, error)
    }
  })
  port.on("messageerror", (error) => {
    throw error // whoever asked would wait for ever
  })
}
