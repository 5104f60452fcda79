/** Base64, hex and UTF-8: one value, one spelling; and no text is so long that it breaks the decoder. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import {
  decodeBase64,
  decodeHex,
  decodeUtf8,
  encodeBase64,
  encodeHex,
  encodeUtf8,
  formatTime,
  isSha256Hex,
  parseTime,
  sha256Hex,
} from "@weighlock/manifest"
import { decodeBase64 as strictBase64 } from "@weighlock/tlog"

// Not exported: who uses the package gets the engine's own where it exists.
const { decodeBase64Slowly, encodeBase64Slowly } = (await import(
  new URL("../../packages/tlog/src/encoding.ts", import.meta.url).href
)) as { decodeBase64Slowly: typeof strictBase64; encodeBase64Slowly: typeof encodeBase64 }

const code = { code: "MANIFEST_INVALID" }
const badBase64 = [
  "=",
  "==",
  "====",
  "A",
  "AA",
  "AAA",
  "A===",
  "AA=",
  "AA=A",
  "AB==",
  "AAB=",
  "AA==AAAA",
  "AAAA====",
  "A=A=",
]
badBase64.push("AA\n==", " AAAA", "AAAA ", "AAAA\n", "AA--", "AA__", "A\u0410AA", "AAA\0", "@@@@", "AAAA\u200b")
for (const bad of badBase64) {
  test(`base64 refused: ${JSON.stringify(bad)}`, () => assert.throws(() => decodeBase64(bad, "x"), code))
}
const badHex = ["0", "000", "0A", "0x", " 00", "00\n", "0g", "０0", "--"]
for (const bad of badHex)
  test(`hex refused: ${JSON.stringify(bad)}`, () => assert.throws(() => decodeHex(bad, "x"), code))

const badUtf8 = {
  "overlong slash": [0xc0, 0xaf],
  "overlong NUL": [0xc0, 0x80],
  "overlong, three bytes": [0xe0, 0x80, 0xaf],
  surrogate: [0xed, 0xa0, 0x80],
  "beyond U+10FFFF": [0xf4, 0x90, 0x80, 0x80],
  "lone continuation": [0x80],
  "cut short": [0xe2, 0x82],
  "byte FF": [0xff],
}
for (const [why, bytes] of Object.entries(badUtf8)) {
  test(`UTF-8 refused: ${why}`, () => assert.throws(() => decodeUtf8(Uint8Array.from(bytes), "x"), code))
}
test("UTF-8: a byte order mark is a character, not nothing", () => {
  assert.equal(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61), "x"), "\ufeffa")
})

const bytes = fc.uint8Array({ maxLength: 200 })
test("base64 and hex: round trip, equal to node's", () => {
  fc.assert(
    fc.property(bytes, (value) => {
      assert.equal(encodeBase64(value), Buffer.from(value).toString("base64"))
      assert.equal(encodeHex(value), Buffer.from(value).toString("hex"))
      assert.deepEqual(decodeBase64(encodeBase64(value), "x"), value)
      assert.deepEqual(decodeHex(encodeHex(value), "x"), value)
    }),
  )
})
test("base64: what decodes encodes back to the same text", () => {
  const text = fc.string({ unit: fc.constantFrom(...Array.from("AQgw/+= -_\nz")), maxLength: 12 })
  fc.assert(
    fc.property(text, (value) => {
      try {
        assert.equal(encodeBase64(decodeBase64(value, "x")), value)
      } catch (error) {
        assert.equal((error as { code: string }).code, "MANIFEST_INVALID")
      }
    }),
    { numRuns: 2000 },
  )
})
test("base64 and hex: 16 MiB decode, and 16 MiB with a fault are refused", () => {
  const large = new Uint8Array(16 * 2 ** 20).fill(0xa5)
  const text = encodeBase64(large)
  assert.equal(decodeBase64(text, "x").length, large.length)
  assert.throws(() => decodeBase64(`${text.slice(0, -1)}!`, "x"), code)
  assert.equal(decodeHex("a5".repeat(2 ** 22), "x").length, 2 ** 22)
})
test("UTF-8: equal to the platform's strict decoder", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      if (text.isWellFormed()) assert.equal(decodeUtf8(encodeUtf8(text), "x"), text)
    }),
  )
})

test("SHA-256: FIPS 180-4 examples", () => {
  assert.equal(sha256Hex(encodeUtf8("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  assert.equal(sha256Hex(encodeUtf8("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
})
for (const bad of ["A".repeat(64), "a".repeat(63), "a".repeat(65), `${"a".repeat(64)}\n`, ""]) {
  test(`digest refused: ${bad.length} of ${JSON.stringify(bad.slice(-2))}`, () => assert.equal(isSha256Hex(bad), false))
}

const badTimes = [
  "2026-11-23",
  "2026-11-23T12:00:00",
  "2026-11-23T12:00:00z",
  "2026-11-23T12:00:00.000Z",
  "2026-11-23 12:00:00Z",
]
badTimes.push(
  "2026-02-30T00:00:00Z",
  "2026-13-01T00:00:00Z",
  "2026-11-23T24:00:00Z",
  "2026-11-23T12:00:60Z",
  "2026-11-23T12:00:00+00:00",
)
badTimes.push(
  "+002026-11-23T12:00:00Z",
  "2025-02-29T00:00:00Z",
  "",
  "2026-11-23T12:00:00Z\n",
  "\u0662026-11-23T12:00:00Z",
)
for (const bad of badTimes)
  test(`time refused: ${JSON.stringify(bad)}`, () => assert.throws(() => parseTime(bad, "x"), code))
test("time: a leap day is there, and formats back", () => {
  assert.equal(formatTime(parseTime("2028-02-29T23:59:59Z", "x")), "2028-02-29T23:59:59Z")
})

test("base64: the engine's own and ours judge every text alike", () => {
  const slowly = (text: string): string | null => {
    const bytes = decodeBase64Slowly(text)
    return bytes === null ? null : encodeBase64Slowly(bytes)
  }
  const natively = (text: string): string | null => {
    const bytes = strictBase64(text)
    return bytes === null ? null : encodeBase64(bytes)
  }
  const texts = fc.oneof(
    fc.string({ unit: fc.constantFrom(..."ABab01+/=-_ \n\t\0é".split("")) }),
    fc.base64String(),
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes).toString("base64")),
  )
  for (const bad of badBase64) assert.equal(natively(bad), slowly(bad), JSON.stringify(bad))
  fc.assert(
    fc.property(texts, (text) => assert.equal(natively(text), slowly(text))),
    { numRuns: 2000 },
  )
})
