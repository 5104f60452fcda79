/** Reads files where it hashes them, so that no byte changes threads. What is kept in memory is what was hashed. */
import { createHash, type Hash } from "node:crypto"
import { readSync } from "node:fs"
import { parentPort } from "node:worker_threads"
import type { ReadOrder, ReadReply } from "./hash-reader.ts"
import type { Numbered } from "./lane.ts"

interface Reading {
  readonly hash: Hash
  /** Of the part that is being read. */
  part: Hash | null
  /** Where the bytes stay, or null. */
  readonly kept: Uint8Array<ArrayBuffer> | null
  at: number
}

/** Small enough for a processor's cache: they are hashed while they are still there. From a disk, smaller ones are slower. */
const block = new Uint8Array(2 ** 20)
const readings = new Map<number, Reading>()

parentPort?.on("message", (order: Numbered<ReadOrder>) => {
  try {
    const [reply, transfer] = answer(order)
    parentPort?.postMessage({ ...reply, id: order.id }, transfer)
  } catch (error) {
    readings.delete(order.stream)
    const { message, code, syscall } = error as NodeJS.ErrnoException
    parentPort?.postMessage({ id: order.id, failure: { message, code, syscall } } satisfies Numbered<ReadReply>)
  }
})

function answer({ stream, fd, start, length, keep, part, then }: ReadOrder): [ReadReply, ArrayBuffer[]] {
  if (then === "forget") {
    readings.delete(stream)
    return [{}, []]
  }
  const reading = readings.get(stream) ?? begin(keep)
  readings.set(stream, reading)
  if (part !== "none") reading.part ??= createHash("sha256")
  if (!read(reading, fd, start, length)) {
    readings.delete(stream)
    return [{ short: true }, []]
  }
  if (then === "end") {
    readings.delete(stream)
    const digest = reading.hash.digest("hex")
    return reading.kept === null ? [{ digest }, []] : [{ digest, bytes: reading.kept }, [reading.kept.buffer]]
  }
  if (part !== "end") return [{}, []]
  const digest = reading.part?.digest("hex") ?? ""
  reading.part = null
  return [{ digest }, []]
}

function begin(keep: number | null): Reading {
  return { hash: createHash("sha256"), part: null, kept: keep === null ? null : new Uint8Array(keep), at: 0 }
}

function read(reading: Reading, fd: number, start: number, length: number): boolean {
  for (let done = 0; done < length;) {
    const most = Math.min(block.length, length - done)
    const memory = reading.kept?.subarray(reading.at, reading.at + most) ?? block.subarray(0, most)
    const count = readSync(fd, memory, 0, most, start + done)
    if (count === 0) return false
    const got = memory.subarray(0, count)
    reading.hash.update(got)
    reading.part?.update(got)
    reading.at += count
    done += count
  }
  return true
}
