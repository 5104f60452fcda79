/** tlog's strict decoders with this package's error: a field that is not the one spelling of its value is refused. */
import * as strict from "@weighlock/tlog/encoding"
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js"
import { invalid } from "./errors.ts"

export { encodeBase64, encodeHex, encodeUtf8 } from "@weighlock/tlog/encoding"

const sha256Form = /^[0-9a-f]{64}$/

interface NodeHash {
  hash?(algorithm: string, data: Uint8Array, encoding: "hex"): string
}
interface MaybeNode {
  readonly process?: { readonly getBuiltinModule?: (id: string) => unknown }
}
const node = (globalThis as MaybeNode).process?.getBuiltinModule?.("node:crypto") as NodeHash | undefined

/** The digest as 64 lower-case hexadecimal digits: by node:crypto where it exists, else by noble. */
export function sha256Hex(bytes: Uint8Array): string {
  return node?.hash?.("sha256", bytes, "hex") ?? strict.encodeHex(nobleSha256(bytes))
}

export function isSha256Hex(text: string): boolean {
  return sha256Form.test(text)
}

export function decodeUtf8(bytes: Uint8Array, what: string): string {
  return strict.decodeUtf8(bytes) ?? fail(what, "well-formed UTF-8")
}

export function decodeBase64(text: string, what: string): Uint8Array<ArrayBuffer> {
  return strict.decodeBase64(text) ?? fail(what, "canonical padded base64")
}

export function decodeHex(text: string, what: string): Uint8Array<ArrayBuffer> {
  return strict.decodeHex(text) ?? fail(what, "lower-case hexadecimal")
}

function fail(what: string, form: string): never {
  throw invalid(`${what} is not ${form}`)
}

const surrogate = /[\ud800-\udfff]/

/** Order by bytes of the UTF-8 encoding: JavaScript's order by UTF-16 units is the same but for surrogates. */
export function compareUtf8(a: string, b: string): number {
  if (!surrogate.test(a) && !surrogate.test(b)) return a < b ? -1 : a > b ? 1 : 0
  const [left, right] = [strict.encodeUtf8(a), strict.encodeUtf8(b)]
  const shared = Math.min(left.length, right.length)
  for (let at = 0; at < shared; at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}
