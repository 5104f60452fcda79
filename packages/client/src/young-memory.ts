/**
 * Every chunk from a socket has 64 KiB of its own outside of V8's heap, and V8, which sees little garbage inside, frees them
 * in full collections only: fifty of them for a gigabyte, which cost more than hashing it, and 40 MB that nobody needs. A
 * collection of the young objects frees them in a fraction of a millisecond; so one is asked for now and then.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Bytes that come between two of them. */
const between = 2 ** 24

type Collect = (options: { readonly type: "minor" }) => void

let since = 0
let collect: Collect | null = null

/** To be told of every chunk that was used. */
export function chunkUsed(bytes: number): void {
  since += bytes
  if (since < between) return
  since = 0
  collect ??= collector()
  collect({ type: "minor" })
}

function collector(): Collect {
  try {
    setFlagsFromString("--expose-gc") // the one way to V8's own function without a flag on the command line
    return runInNewContext("gc") as Collect
  } catch {
    return () => undefined // only slower
  }
}
