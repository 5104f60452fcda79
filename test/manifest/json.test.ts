/** JSON as we read and sign it: strict, and RFC 8785. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { canonicalJson, type JsonValue, parseCanonical, parseJson } from "@weighlock/manifest"
import { utf8 } from "../support/trust.ts"
import { some } from "../support/thorough.ts"

const code = { code: "MANIFEST_INVALID" }
const text = (value: JsonValue): string => Buffer.from(canonicalJson(value)).toString()

const bad: Record<string, string | number[]> = {
  empty: "",
  space: " ",
  "duplicate key": '{"a":1,"a":1}',
  "duplicate key, escaped": '{"a":1,"\\u0061":2}',
  "duplicate __proto__": '{"__proto__":1,"__proto__":2}',
  "duplicate key deep down": '[{"x":{"a":1,"b":2,"a":3}}]',
  "byte order mark": "\ufeff{}",
  "byte order mark inside": "{\ufeff}",
  "UTF-16": [0x7b, 0x00, 0x7d, 0x00],
  "invalid UTF-8 in a string": [0x22, 0xff, 0x22],
  "overlong UTF-8": [0x22, 0xc0, 0xaf, 0x22],
  "surrogate in UTF-8": [0x22, 0xed, 0xa0, 0x80, 0x22],
  "lone surrogate, escaped": '"\\ud800"',
  "lone low surrogate, escaped": '"\\udc00x"',
  "lone surrogate in a key": '{"\\ud800":1}',
  "trailing bytes": "{}{}",
  "trailing comma": "[1,]",
  "trailing comma in an object": '{"a":1,}',
  "trailing NUL": "{}\0",
  "leading comma": "[,1]",
  "no comma": "[1 2]",
  "no value": '{"a":}',
  "no colon": '{"a" 1}',
  "number as key": "{1:1}",
  "bare key": "{a:1}",
  "single quotes": "{'a':1}",
  comment: "[1/*x*/]",
  "line comment": "[1]//x",
  NaN: "NaN",
  Infinity: "Infinity",
  "minus Infinity": "-Infinity",
  "1e400": "1e400",
  hexadecimal: "0x10",
  "leading zero": "01",
  "minus zero one": "-01",
  "plus sign": "+1",
  "no digits after the point": "1.",
  "no digits before the point": ".5",
  "no exponent": "1e",
  minus: "-",
  "2^53": "9007199254740992",
  "minus 2^53": "-9007199254740992",
  "2^64": "18446744073709551616",
  True: "True",
  nul: "nul",
  undefined: "undefined",
  "raw newline in a string": '"\n"',
  "raw NUL in a string": '"\0"',
  "raw tab in a string": '"\t"',
  "bad escape": '"\\x41"',
  "short escape": '"\\u00"',
  "unfinished string": '"abc',
  "unfinished escape": '"abc\\',
  "unfinished object": '{"a":1',
  "unfinished array": "[1",
  "no-break space": "[\u00a01]",
  "form feed": "[\f1]",
  "65 levels": `${"[".repeat(66)}${"]".repeat(66)}`,
  "a million levels": "[".repeat(1_000_000),
  "a million object levels": '{"a":'.repeat(1_000_000),
  "closed by the wrong bracket": "[1}",
}
for (const [why, source] of Object.entries(bad)) {
  const bytes = typeof source === "string" ? utf8(source) : Uint8Array.from(source)
  test(`JSON refused: ${why}`, () => assert.throws(() => parseJson(bytes), code))
}

test("JSON: __proto__, constructor and toString are keys like any other and reach no prototype", () => {
  const value = parseJson(utf8('{"__proto__":{"polluted":1},"constructor":2,"toString":3}')) as Record<
    string,
    JsonValue
  >
  assert.equal(Object.getPrototypeOf(value), null)
  assert.deepEqual(Object.keys(value), ["__proto__", "constructor", "toString"])
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined)
  assert.equal(text(value), '{"__proto__":{"polluted":1},"constructor":2,"toString":3}')
})
test("JSON: 64 levels are read", () => {
  assert.ok(parseJson(utf8(`${"[".repeat(64)}${"]".repeat(64)}`)))
})
test("JSON: white space is skipped, but is not canonical", () => {
  assert.deepEqual(parseJson(utf8(" [ 1 ,\n2\t]\r\n")), [1, 2])
  assert.throws(() => parseCanonical(utf8("[1, 2]")), code)
})
for (const other of [
  '{"b":1,"a":2}',
  '"\\u0061"',
  '"\\/"',
  "1.0",
  "1e2",
  "-0",
  '"\\u00e9"',
  "[1 ]",
  "0.5",
  '"\\u000A"',
]) {
  test(`not canonical: ${other}`, () => assert.throws(() => parseCanonical(utf8(other)), code))
}

// RFC 8785 §3.2.2 (strings and literals; its numbers are not integers, and our formats hold only those), §3.2.3, §3.2.4.
test("RFC 8785 §3.2.2: the sample's string and literals", () => {
  const source = '{"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}'
  const bytes = canonicalJson(parseJson(utf8(source)))
  const expected = '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
  assert.equal(Buffer.from(bytes).toString(), expected)
})
test("RFC 8785 §3.2.3: the sample's keys in order of UTF-16 units", () => {
  const source =
    '{"\\u20ac":"Euro Sign","\\r":"Carriage Return","\\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",' +
    '"\\ud83d\\ude00":"Emoji: Grinning Face","\\u0080":"Control","\\u00f6":"Latin Small Letter O With Diaeresis"}'
  const order = Object.values(JSON.parse(text(parseJson(utf8(source)))) as Record<string, string>)
  const first = text(parseJson(utf8(source))).indexOf("Carriage Return")
  const rest = ["One", "Control", "Latin Small", "Euro Sign", "Emoji", "Hebrew"].map((word) =>
    text(parseJson(utf8(source))).indexOf(word),
  )
  assert.equal(order.length, 7)
  assert.deepEqual(
    [first, ...rest],
    [first, ...rest].toSorted((a, b) => a - b),
  )
})
test("RFC 8785 §3.2.4: UTF-8 bytes, not escapes", () => {
  assert.deepEqual([...canonicalJson("€")], [0x22, 0xe2, 0x82, 0xac, 0x22])
})
for (const number of [0.5, 1e21, 2 ** 53, -(2 ** 53), Number.NaN, Number.POSITIVE_INFINITY, 333333333.3333333]) {
  test(`not signed: the number ${number}`, () => assert.throws(() => canonicalJson([number]), code))
}
test("not signed: a lone surrogate, as value or key", () => {
  assert.throws(() => canonicalJson("\ud800"), code)
  assert.throws(() => canonicalJson({ "\udc00": 1 }), code)
})

const integers = fc.oneof(fc.integer(), fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0))
const strings = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.constantFrom("__proto__", "", "\u2028", "\\", "\u007f", "10", "9"),
)
const { value: anyJson } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    integers,
    strings,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 4 }),
    fc
      .array(fc.tuple(strings, tie("value")), { maxLength: 4 })
      .map((members) => Object.assign(Object.create(null) as object, Object.fromEntries(members)) as JsonValue),
  ),
}))
test("canonical bytes parse to themselves, and JSON.parse reads the same", () => {
  fc.assert(
    fc.property(anyJson, (value) => {
      const bytes = canonicalJson(value)
      assert.deepEqual(canonicalJson(parseCanonical(bytes)), bytes)
      assert.equal(JSON.stringify(JSON.parse(Buffer.from(bytes).toString())), JSON.stringify(parseJson(bytes)))
    }),
  )
})
test("whatever we accept, JSON.parse accepts with the same meaning", () => {
  const soup = fc.string({
    unit: fc.constantFrom(...Array.from('[]{}:,"01-.eE \\u'), '"a"', "true", "null", "\ufeff"),
    maxLength: 14,
  })
  fc.assert(
    fc.property(soup, (source) => {
      let value: JsonValue
      try {
        value = parseJson(utf8(source))
      } catch (error) {
        assert.equal((error as { code: string }).code, "MANIFEST_INVALID")
        return
      }
      assert.equal(JSON.stringify(JSON.parse(source)), JSON.stringify(value))
    }),
    { numRuns: some(5000, 4) },
  )
})
test("canonical: one byte changed, added or taken is refused or another value", () => {
  const bytes = canonicalJson(parseJson(utf8('{"a":[1,-20,"x\\n"],"b":{"c":null},"é":true}')))
  const original = Buffer.from(bytes).toString()
  for (let at = 0; at < bytes.length * 256; at++) {
    const changed = Uint8Array.from(bytes)
    changed[at >> 8] = at & 0xff
    if (changed.every((byte, i) => byte === bytes[i])) continue
    try {
      assert.notEqual(text(parseCanonical(changed)), original)
    } catch (error) {
      assert.equal((error as { code: string }).code, "MANIFEST_INVALID")
    }
  }
})

// White space before it keeps the engine's own parser out: what it decides must be what ours decides.
test("JSON: the common case is judged as every other", () => {
  const judge = (parse: () => JsonValue): unknown => {
    try {
      const value = parse()
      return { value, text: text(value) }
    } catch (error) {
      return (error as { code?: unknown }).code
    }
  }
  const agree = (source: string): void => {
    const ours = judge(() => parseJson(utf8(` ${source}`)))
    assert.deepEqual(
      judge(() => parseJson(utf8(source))),
      ours,
      source,
    )
    const isCanonical = typeof ours === "object" && ours !== null && "text" in ours && ours.text === source
    assert.deepEqual(
      judge(() => parseCanonical(utf8(source))),
      isCanonical ? ours : code.code,
      source,
    )
  }
  const pieces = ["{", "}", "[", "]", ",", ":", '"a"', '"b"', '"__proto__"', '"10"', '"9"', "1", "0", "-0", "1.5", "1e3", "null", "true", '"\\ud800"', '"é"', '"\\u00e9"', " ", "9007199254740993", "9007199254740992"] // prettier-ignore
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 9 }), (some) => agree(some.join(""))),
    { numRuns: some(3000, 4) },
  )
  fc.assert(fc.property(fc.json({ noUnicodeString: false }), agree), { numRuns: some(1000, 4) })
  for (const depth of [63, 64, 65, 66, 20_000]) {
    agree("[".repeat(depth) + "]".repeat(depth))
    agree(`${"[".repeat(depth)}1${"]".repeat(depth)}`)
  }
  for (const each of Object.values(bad)) if (typeof each === "string") agree(each)
  agree('{"a":{"__proto__":1,"constructor":2},"b":[]}')
  agree('{"10":1,"9":2}')
  agree('{"9":1,"10":2}')
})
