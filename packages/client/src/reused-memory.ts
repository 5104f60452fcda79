/**
 * Sockets that read into one piece of memory, again and again. Node gives every 64 KiB that arrive memory of their own, and
 * V8, which sees little garbage inside its heap, frees it late: at a gigabyte a second that costs as much as hashing.
 * Whoever reads such a socket uses the bytes while it is told of them, or copies them.
 */
import type { OnReadOpts, Socket } from "node:net"

/** Bytes of one read at most: as much as a processor keeps near. */
const size = 2 ** 18

/** What is new goes to the memory's reader at once: all of this runs on one thread. */
export interface ReadsIntoReusedMemory {
  readonly onread: OnReadOpts
  /** One read is no reason to stop the next. */
  readonly highWaterMark: number
}

/** Options of `net.connect` and `tls.connect`. */
export function readsIntoReusedMemory(): ReadsIntoReusedMemory {
  return { onread: { buffer: Buffer.allocUnsafeSlow(size), callback: hand }, highWaterMark: 2 * size }
}

/** As a socket without `onread` would, but the reader is called at once, and what it does not take is copied. */
function hand(this: Socket, bytes: number, memory: Uint8Array): boolean {
  const chunk = memory.subarray(0, bytes)
  if (this.readableLength > 0) this.push(Buffer.from(chunk))
  else {
    this.push(chunk)
    this.emit("readable")
    const left: unknown = this.readableLength === 0 ? null : this.read()
    if (left instanceof Uint8Array) this.unshift(Buffer.from(left))
  }
  return this.readableLength < this.readableHighWaterMark // else Node goes on reading once somebody has taken some
}
