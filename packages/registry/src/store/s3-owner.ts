/**
 * Whose a prefix is: one object, `registry`, says it, and so does `blob-store` in the data folder of that registry.
 *
 *     weighlock registry 4f1c0d4c9a0b4e6f8a2f6f0e1d2c3b4a
 *
 * Two registries below one prefix would expire each other's blobs, and a bucket of the same name on another server is another.
 */
import { buffer } from "node:stream/consumers"

import { type Calls, failed, odd } from "./s3-calls.ts"
import { bytesOf, head, put } from "./s3-objects.ts"

const key = "registry"
const form = /^weighlock registry ([0-9a-f]{32})\n$/
const length = 52

/** `null`: nobody's yet. Text that no registry wrote is an owner, too, and equals no other. */
export async function readOwner(calls: Calls): Promise<string | null> {
  const found = await head(calls, key)
  if (!found) return null
  const text = found.size === length ? (await buffer(bytesOf(calls, key, found))).toString("latin1") : ""
  return form.exec(text)?.[1] ?? "somebody"
}

/** Answers who has it now: of two at once one. */
export async function claimOwner(calls: Calls, owner: string): Promise<string> {
  const text = Buffer.from(`weighlock registry ${owner}\n`)
  await put(calls, key, text, true).catch(() => undefined) // taken, or a store that knows no condition
  const has = await readOwner(calls)
  if (has !== null) return has
  await put(calls, key, text)
  return (await readOwner(calls)) ?? notKept()
}

function notKept(): never {
  throw failed("PUT", odd("what was put is not there"))
}
