/**
 * How many values a JSON text has, from its bytes alone. A megabyte of `{},{},{}` becomes a hundred of objects, so the
 * number is judged before any is made.
 */
const [quote, backslash] = [0x22, 0x5c]
const comma = 0x2c
const [bracket, brace] = [0x5b, 0x7b]

/** Commas and opening brackets outside of strings. Of a text that is JSON: at most one value more than that is in it. */
export function countValues(bytes: Uint8Array): number {
  let count = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === quote) at = endOfString(bytes, at + 1)
    else if (byte === comma || byte === bracket || byte === brace) count++
  }
  return count
}

/** Where the string that begins at `start` has its closing quote: one after an even number of backslashes. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let at = bytes.indexOf(quote, start); at >= 0; at = bytes.indexOf(quote, at + 1)) {
    let backslashes = 0
    while (bytes[at - 1 - backslashes] === backslash) backslashes++
    if (backslashes % 2 === 0) return at
  }
  return bytes.length
}
