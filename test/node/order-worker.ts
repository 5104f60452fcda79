/** A thread for the tests: each order says what is to happen. */
import { workerData } from "node:worker_threads"
import { Moved, NodeError, serveOrders } from "@weighlock/node"

export type TestOrder =
  | { readonly kind: "double"; readonly number: number }
  | {
      readonly kind:
        | "workerData"
        | "flags"
        | "chat"
        | "never"
        | "uncloneable"
        | "exit"
        | "throw text"
        | "loop"
        | "fill memory"
    }
  | { readonly kind: "count"; readonly to: number }
  | { readonly kind: "later"; readonly milliseconds: number }
  | { readonly kind: "moved"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "throw" | "reject"; readonly code: "FILE_CHANGED" | "FILE_UNREADABLE" }
  | { readonly kind: "answer and die" | "hidden code" }

serveOrders((order: TestOrder, tell: (progress: number) => void): unknown => {
  switch (order.kind) {
    case "count":
      for (let at = 0; at < order.to; at++) tell(at)
      return "counted"
    case "double":
      return order.number * 2
    case "workerData":
      return workerData
    case "flags":
      return process.execArgv
    case "chat":
      console.log("chatter")
      console.error("chatter")
      return null
    case "later":
      return new Promise((resolve) => setTimeout(resolve, order.milliseconds, order.milliseconds))
    case "never":
      return new Promise(() => undefined)
    case "loop":
      for (;;);
    case "fill memory":
      for (const all: unknown[] = []; ;) all.push(Array.from({ length: 10_000 }, () => all.length))
    case "moved":
      return new Moved(order.bytes, [order.bytes.buffer])
    case "uncloneable":
      return () => "a function"
    case "throw":
      throw refusal(order.code)
    case "reject":
      return Promise.reject(refusal(order.code))
    case "hidden code":
      throw Object.defineProperty(new Error("as SQLite's errors do it"), "code", { value: "HIDDEN" })
    case "throw text":
      throw "only text" // oxlint-disable-line typescript/only-throw-error -- libraries do
    case "exit":
      process.exit(3)
    case "answer and die":
      setImmediate(() => {
        throw new Error("died afterwards")
      })
      return "answered"
  }
})

function refusal(code: "FILE_CHANGED" | "FILE_UNREADABLE"): Error {
  return new NodeError(code, "refused in the thread", { hint: "try that", cause: new RangeError("deeper") })
}
