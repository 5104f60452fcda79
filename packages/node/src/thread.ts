/** What the inside of a worker thread needs, without the rest of this package, which it would load anew. */
export { SerialQueue } from "./serial-queue.ts"
export { Moved, serveOrders } from "./serve-orders.ts"
