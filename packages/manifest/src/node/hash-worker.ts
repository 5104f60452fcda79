/** Hashes shared memory off the event loop: one SHA-256 per stream, in the order the messages come. */
import { createHash, type Hash } from "node:crypto"
import { parentPort } from "node:worker_threads"
import type { HashOrder, HashReply } from "./hash-pool.ts"
import type { Numbered } from "./lane.ts"

const streams = new Map<number, Hash>()

parentPort?.on("message", ({ id, stream, memory, offset, length, end }: Numbered<HashOrder>) => {
  const hash = streams.get(stream) ?? createHash("sha256")
  hash.update(new Uint8Array(memory, offset, length))
  if (end) streams.delete(stream)
  else streams.set(stream, hash)
  const reply: Numbered<HashReply> = end ? { id, digest: hash.digest("hex") } : { id }
  parentPort?.postMessage(reply)
})
