/**
 * The entries of a foreign list, before they are files.
 *
 *     {"name":"weights/w.bin:1000:2000","algorithm":"sha256-sharded-1000","digest":"f98b…"}
 */
import { sha256Hex } from "./encoding.ts"
import { invalid, tooLarge } from "./errors.ts"
import type { JsonValue } from "./json.ts"
import { limits } from "./limits.ts"
import { asArray, asInteger, asString, fields } from "./shape.ts"

export interface OmsItem {
  readonly name: string
  readonly algorithm: string
  readonly digest: string
  /** Bytes; our own exports say it. */
  readonly size?: number
}

export function readItems(value: JsonValue, what: string): OmsItem[] {
  const list = asArray(value, what)
  if (list.length > limits.omsItems) throw tooLarge(`the statement has ${list.length} ${what}`, limits.omsItems)
  return list.map((item, at) => {
    const own = fields(item, `${what}[${at}]`, ["name", "algorithm", "digest"], ["size", "parts"])
    return {
      name: asString(own.name, "name"),
      algorithm: asString(own.algorithm, "algorithm"),
      digest: asString(own.digest, "digest"),
      ...(own.size === undefined ? {} : { size: asInteger(own.size, "size") }),
    }
  })
}

export function requireDigest(text: string, bytes: number): void {
  if (!/^[0-9a-f]*$/.test(text) || text.length !== 2 * bytes)
    throw invalid(`the digest ${JSON.stringify(text.slice(0, 200))} is not ${2 * bytes} lower-case hex digits`)
}

/** SHA-256 of the concatenated raw digests, whatever function they are of. */
export function rootOf(digests: readonly Uint8Array[]): string {
  const all = new Uint8Array(digests.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const digest of digests) {
    all.set(digest, at)
    at += digest.length
  }
  return sha256Hex(all)
}
