/** tlog's strict decoders with this package's error: a field that is not the one spelling of its value is refused. */
import * as strict from "@weighlock/tlog"
import { sha256 } from "@noble/hashes/sha2.js"
import { invalid } from "./errors.ts"

export { encodeBase64, encodeHex, encodeUtf8 } from "@weighlock/tlog"

const sha256Form = /^[0-9a-f]{64}$/

/** The digest as 64 lower-case hexadecimal digits. */
export function sha256Hex(bytes: Uint8Array): string {
  return strict.encodeHex(sha256(bytes))
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

/** Order by bytes of the UTF-8 encoding (not JavaScript's order by UTF-16 units). */
export function compareUtf8(a: string, b: string): number {
  const [left, right] = [strict.encodeUtf8(a), strict.encodeUtf8(b)]
  const shared = Math.min(left.length, right.length)
  for (let at = 0; at < shared; at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}
