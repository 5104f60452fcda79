/** The thread of a `FileHasher`: hashes shared memory, and reads files where it hashes them, so that no byte changes threads. */
import { createHash, type Hash } from "node:crypto"
import { readSync } from "node:fs"
import { Moved, serveOrders } from "../serve-orders.ts"
import type { BlockOrder, HashOrder, HashReply, ReadOrder } from "./hash-orders.ts"

interface OpenRead {
  readonly hash: Hash
  /** Of the part that is being read. */
  part: Hash | null
  /** Where the bytes stay, or null. */
  readonly kept: Uint8Array<ArrayBuffer> | null
  at: number
}

/** Small enough for a processor's cache: they are hashed while they are still there. From a disk, smaller ones are slower. */
const block = new Uint8Array(2 ** 20)
const blockHashes = new Map<number, Hash>()
const reads = new Map<number, OpenRead>()

serveOrders((order: HashOrder): HashReply | Moved<HashReply> =>
  order.kind === "block" ? hashBlock(order) : readAndHash(order),
)

function hashBlock({ stream, memory, offset, length, end }: BlockOrder): HashReply {
  const hash = blockHashes.get(stream) ?? createHash("sha256")
  hash.update(new Uint8Array(memory, offset, length))
  if (end) blockHashes.delete(stream)
  else blockHashes.set(stream, hash)
  return end ? { digest: hash.digest("hex") } : {}
}

/** A read that fails or falls short is forgotten. */
function readAndHash(order: ReadOrder): HashReply | Moved<HashReply> {
  const { stream, keep, part, then } = order
  const read = reads.get(stream) ?? beginRead(keep)
  reads.delete(stream)
  if (then === "forget") return {}
  if (part !== "none") read.part ??= createHash("sha256")
  if (!readInto(read, order)) return { short: true }
  if (then === "end") return endRead(read)
  reads.set(stream, read)
  if (part !== "end") return {}
  const digest = read.part?.digest("hex") ?? ""
  read.part = null
  return { digest }
}

function beginRead(keep: number | null): OpenRead {
  return { hash: createHash("sha256"), part: null, kept: keep === null ? null : new Uint8Array(keep), at: 0 }
}

function endRead({ hash, kept }: OpenRead): HashReply | Moved<HashReply> {
  const digest = hash.digest("hex")
  return kept === null ? { digest } : new Moved({ digest, bytes: kept }, [kept.buffer])
}

/** `false` when the file ends before. What is kept in memory is what was hashed. */
function readInto(read: OpenRead, { fd, start, length }: ReadOrder): boolean {
  for (let done = 0; done < length;) {
    const most = Math.min(block.length, length - done)
    const memory = read.kept?.subarray(read.at, read.at + most) ?? block.subarray(0, most)
    const count = readSync(fd, memory, 0, most, start + done)
    if (count === 0) return false
    const got = memory.subarray(0, count)
    read.hash.update(got)
    read.part?.update(got)
    read.at += count
    done += count
  }
  return true
}
