/**
 * One value, one spelling: base64 is standard, padded and canonical; hex is lower-case; text is well-formed UTF-8.
 * JavaScript's own decoders are lenient (`atob` takes white space, `Buffer.from(…, "hex")` stops at junk), so whatever
 * does not encode back to the same text is refused here.
 */
const fatalUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const toUtf8 = new TextEncoder()
// Negated classes: a repeated group would use up the regular expression stack on megabytes.
const notBase64 = /[^A-Za-z0-9+/]/
const notHex = /[^0-9a-f]/

export function encodeUtf8(text: string): Uint8Array<ArrayBuffer> {
  return toUtf8.encode(text)
}

/** `null` unless the bytes are well-formed UTF-8; a byte order mark is kept as the character it is. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return fatalUtf8.decode(bytes)
  } catch {
    return null
  }
}

// The engine's own (ES2026), ten times as fast, where it exists; @types for it come later. Both give the same (tested).
interface NativeBytes {
  toBase64?(): string
  toHex?(): string
}
interface NativeDecoder {
  fromBase64?(text: string, options: { lastChunkHandling: "strict" }): Uint8Array<ArrayBuffer>
}
const native = Uint8Array as NativeDecoder

export function encodeBase64(bytes: Uint8Array): string {
  return (bytes as NativeBytes).toBase64?.() ?? encodeBase64Slowly(bytes)
}

export function encodeBase64Slowly(bytes: Uint8Array): string {
  let binary = ""
  for (let at = 0; at < bytes.length; at += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000))
  }
  return btoa(binary)
}

/** `null` unless `text` is the one canonical base64 spelling of some bytes (RFC 4648 §4, §3.5). */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  if (native.fromBase64 === undefined) return decodeBase64Slowly(text)
  try {
    const bytes = native.fromBase64(text, { lastChunkHandling: "strict" })
    // It skips white space and refuses the rest: what is longer than its bytes need held some.
    return 4 * Math.ceil(bytes.length / 3) === text.length ? bytes : null
  } catch {
    return null
  }
}

export function decodeBase64Slowly(text: string): Uint8Array<ArrayBuffer> | null {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0
  if (text.length % 4 !== 0 || notBase64.test(text.slice(0, text.length - padding))) return null
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at)
  // Only the last group can hide bits that decoding drops.
  return encodeBase64Slowly(bytes.subarray(bytes.length - (bytes.length % 3 || 3))) === text.slice(-4) || text === ""
    ? bytes
    : null
}

export function encodeHex(bytes: Uint8Array): string {
  const hex = (bytes as NativeBytes).toHex?.()
  if (hex !== undefined) return hex
  let text = ""
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0")
  return text
}

/** `null` unless `text` is lower-case hexadecimal of whole bytes. */
export function decodeHex(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 2 !== 0 || notHex.test(text)) return null
  const bytes = new Uint8Array(text.length / 2)
  for (let at = 0; at < bytes.length; at++) bytes[at] = (digit(text, 2 * at) << 4) | digit(text, 2 * at + 1)
  return bytes
}

function digit(text: string, at: number): number {
  const code = text.charCodeAt(at)
  return code < 0x3a ? code - 0x30 : code - 0x57 // "0" to "9", "a" to "f"
}
