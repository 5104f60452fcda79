/** The leaf: one spelling, and no field that does not belong to its operation. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import {
  canonicalJson,
  envelopeOf,
  formatLeaf,
  isInline,
  type JsonObject,
  type JsonValue,
  type Leaf,
  leafOps,
  parseLeaf,
  payloadOf,
} from "@weighlock/manifest"
import { utf8 } from "../support/trust.ts"

const refused = { code: "LOG_INVALID" }
const latestTime = Date.parse("9999-12-31T23:59:59.999Z")
const payload = utf8('{"a":1}')
const publish: JsonObject = {
  v: 1,
  op: "publish",
  at: 1_795_435_200_123,
  model: "acme/mnist",
  seq: 1,
  prev: Buffer.alloc(32, 7).toString("base64"),
  subject: "1.2.0",
  payload: {
    type: "application/vnd.in-toto+json",
    sha256: "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862",
    size: 7,
    inline: Buffer.from(payload).toString("base64"),
  },
  signatures: [
    { keyid: "1".repeat(64), sig: "AQID" },
    { keyid: "2".repeat(64), sig: "" },
  ],
}
const parse = (json: JsonValue): Leaf => parseLeaf(canonicalJson(json))
const bare = ({ model: _m, seq: _s, prev: _p, subject: _u, ...rest }: JsonObject): JsonObject => rest
const trust: JsonObject = { ...bare(publish), op: "trust", subject: "1" }
const genesis: JsonObject = { ...bare(publish), op: "genesis", signatures: [] }

for (const [name, json] of Object.entries({ publish, trust, genesis })) {
  test(`${name}: read and written, the same bytes`, () => {
    const bytes = canonicalJson(json)
    assert.deepEqual(formatLeaf(parseLeaf(bytes)), bytes)
  })
}
test("a leaf is what its fields say", () => {
  const leaf = parse(publish)
  assert.deepEqual(
    [leaf.op, leaf.at, leaf.model, leaf.seq, leaf.subject],
    ["publish", 1795435200123, "acme/mnist", 1, "1.2.0"],
  )
  assert.deepEqual(leaf.prev, new Uint8Array(32).fill(7))
  assert.deepEqual(leaf.payload.inline, payload)
  assert.deepEqual(parse(genesis).signatures, [])
})

const without = (json: JsonObject, key: string): JsonObject =>
  Object.fromEntries(Object.entries(json).filter(([name]) => name !== key))
const inPayload = (changes: JsonObject): JsonObject => ({
  ...publish,
  payload: { ...(publish["payload"] as JsonObject), ...changes },
})
const wrong: Record<string, JsonValue> = {
  "no object": [],
  "another version": { ...publish, v: 2 },
  "a version as text": { ...publish, v: "1" },
  "an unknown operation": { ...publish, op: "replace" },
  "an operation of Object": { ...publish, op: "toString" },
  "an unknown field": { ...publish, note: "x" },
  "a negative time": { ...publish, at: -1 },
  "a time after the year 9999": { ...publish, at: latestTime + 1 },
  "a model that is no name": { ...publish, model: "Acme/mnist" },
  "a model of one segment": { ...publish, model: "mnist" },
  "a negative seq": { ...publish, seq: -1 },
  "seq 0 with prev": { ...publish, seq: 0 },
  "seq 1 without prev": { ...publish, prev: "" },
  "a prev of 31 bytes": { ...publish, prev: Buffer.alloc(31).toString("base64") },
  "a prev that is null": { ...publish, prev: null },
  "a version with build metadata": { ...publish, subject: "1.2.0+x" },
  "an empty subject": { ...publish, subject: "" },
  "a publish without its model": without(publish, "model"),
  "a publish without seq": without(publish, "seq"),
  "a publish without prev": without(publish, "prev"),
  "a publish without subject": without(publish, "subject"),
  "a publish without signatures": { ...publish, signatures: [] },
  "a trust root of a model": { ...trust, model: "acme/mnist", seq: 0, prev: "" },
  "a trust root without its number": without(trust, "subject"),
  "a trust root with number 0": { ...trust, subject: "0" },
  "a trust root with number 01": { ...trust, subject: "01" },
  "a trust root that no one signed": { ...trust, signatures: [] },
  "a genesis of a model": { ...genesis, model: "acme/mnist", seq: 0, prev: "" },
  "a genesis with a subject": { ...genesis, subject: "1" },
  "a genesis that is signed": { ...genesis, signatures: publish["signatures"] ?? [] },
  "a digest in upper case": inPayload({ sha256: "A".repeat(64) }),
  "a short digest": inPayload({ sha256: "a".repeat(63) }),
  "another size": inPayload({ size: 8 }),
  "a size that says it is not inline": inPayload({ size: 8193 }),
  "inline that is not base64": inPayload({ inline: "e30" }),
  "inline that is not canonical": inPayload({ inline: "eyJhIjoxfR==" }),
  "an unknown field in the payload": inPayload({ url: "x" }),
  "a type with a space": inPayload({ type: "a b" }),
  "no inline at all": { ...publish, payload: without(publish["payload"] as JsonObject, "inline") },
  "signatures in another order": { ...publish, signatures: (publish["signatures"] as JsonValue[]).toReversed() },
  "a signature twice": {
    ...publish,
    signatures: [
      { keyid: "1".repeat(64), sig: "" },
      { keyid: "1".repeat(64), sig: "" },
    ],
  },
  "17 signatures": {
    ...publish,
    signatures: Array.from({ length: 17 }, (_, at) => ({ keyid: String(10 + at).repeat(32), sig: "" })),
  },
  "a keyid that is none": { ...publish, signatures: [{ keyid: "1", sig: "" }] },
  "a signature with another field": { ...publish, signatures: [{ keyid: "1".repeat(64), sig: "", cert: "" }] },
}
for (const [why, json] of Object.entries(wrong)) {
  test(`refused: ${why}`, () => assert.throws(() => parse(json), refused))
}
for (const key of Object.keys(publish)) {
  test(`refused: ${key} of another kind`, () => {
    for (const value of [null, true, 1.5, {}, [], "?", -1, { length: 1 }])
      assert.throws(() => parseLeaf(utf8(JSON.stringify({ ...publish, [key]: value }))), refused)
  })
}
for (const op of leafOps) {
  test(`form of ${op}: it is of a model or not, as the operation says`, () => {
    const [ofModel, ofNone] = [
      { ...publish, op },
      { ...bare(publish), op, ...(op === "genesis" ? { signatures: [] } : { subject: "1" }) },
    ]
    const reads = (json: JsonObject): boolean => {
      try {
        return parse(json).op === op
      } catch {
        return false
      }
    }
    assert.equal(reads(ofModel), ["publish", "alias", "deprecate", "revoke"].includes(op))
    assert.equal(reads(ofNone), !["publish", "alias", "deprecate"].includes(op))
  })
}

const text = Buffer.from(canonicalJson(publish)).toString()
const spellings: Record<string, string> = {
  "white space before": ` ${text}`,
  "white space inside": text.replace(":1,", ": 1,"),
  "a line feed after": `${text}\n`,
  "another order": text.replace('"v":1}', "}").replace("{", '{"v":1,').replace(",}", "}"),
  "a field twice": text.replace('"v":1', '"v":1,"v":1'),
  "a float": text.replace('"v":1', '"v":1.0'),
  "an exponent": text.replace('"seq":1', '"seq":1e0'),
  "minus zero": text.replace('"seq":1', '"seq":-0'),
  "an integer past 2^53": text.replace(/"at":\d+/, '"at":9007199254740993'),
  "an escape": text.replace("acme/mnist", "acme\\/mnist"),
  "an escape by number": text.replace("acme/mnist", "\\u0061cme/mnist"),
  "a byte order mark": `\ufeff${text}`,
  __proto__: text.replace('"v":1', '"__proto__":{"v":1},"v":1'),
  "more than 16 KiB": text.replace('"subject":"1.2.0"', `"subject":"1.2.0-${"a".repeat(16_384)}"`),
}
for (const [why, bad] of Object.entries(spellings)) {
  test(`refused: ${why}`, () => {
    assert.notEqual(bad, text)
    assert.throws(() => parseLeaf(utf8(bad)), refused)
  })
}
test("refused: every cut, and every bit flipped, or it is another leaf written as it is read", () => {
  const bytes = utf8(text)
  for (let length = 0; length < bytes.length; length++)
    assert.throws(() => parseLeaf(bytes.subarray(0, length)), refused)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const bad = Uint8Array.from(bytes)
    bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    try {
      assert.deepEqual(formatLeaf(parseLeaf(bad)), bad)
    } catch (error) {
      assert.equal((error as { code?: string }).code, "LOG_INVALID")
    }
  }
})
test("refused: arbitrary bytes, by code and never by accident", () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), fc.json().map(utf8)), (bytes) =>
      assert.throws(() => parseLeaf(bytes), refused),
    ),
    { numRuns: 500 },
  )
})

const leaves = fc.record(
  {
    op: fc.constant("publish" as const),
    at: fc.nat({ max: latestTime }),
    model: fc.constantFrom("acme/mnist", "a/b", "x-1/y_2.z"),
    seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    prev: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    subject: fc.constantFrom("0.0.0", "1.2.0-rc.1"),
    payload: fc.uint8Array({ maxLength: 9000 }).map((bytes) => payloadOf("application/vnd.in-toto+json", bytes)),
    signatures: fc
      .uniqueArray(
        fc.record(
          { keyid: fc.stringMatching(/^[0-9a-f]{64}$/), sig: fc.uint8Array({ maxLength: 72 }) },
          { noNullPrototype: true },
        ),
        {
          minLength: 1,
          maxLength: 16,
          selector: ({ keyid }) => keyid,
        },
      )
      .map((all) => all.toSorted((a, b) => (a.keyid < b.keyid ? -1 : 1))),
  },
  { noNullPrototype: true },
)
test("what is written by hand is RFC 8785, and is read back", () => {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")
  fc.assert(
    fc.property(leaves, ({ prev, payload: { inline, ...rest }, signatures, ...plain }) => {
      const leaf: Leaf = { ...plain, prev, payload: inline === undefined ? rest : { ...rest, inline }, signatures }
      const json = {
        ...plain,
        v: 1,
        prev: base64(prev),
        payload: { ...rest, ...(inline === undefined ? {} : { inline: base64(inline) }) },
        signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig: base64(sig) })),
      }
      const bytes = formatLeaf(leaf)
      assert.deepEqual(bytes, canonicalJson(json))
      assert.deepEqual(parseLeaf(bytes), leaf)
    }),
  )
})

test("inline up to 8,192 bytes, and then not", () => {
  assert.deepEqual([isInline(0), isInline(8192), isInline(8193)], [true, true, false])
  assert.equal(payloadOf("t", new Uint8Array(8192)).inline?.length, 8192)
  assert.equal(payloadOf("t", new Uint8Array(8193)).inline, undefined)
})
test("16 signatures and the largest inline payload fit; what does not is TOO_LARGE", () => {
  const leaf = parse(publish)
  const signatures = Array.from({ length: 16 }, (_, at) => ({
    keyid: String(10 + at).repeat(32),
    sig: new Uint8Array(72),
  }))
  const large = { ...leaf, payload: payloadOf("application/vnd.in-toto+json", new Uint8Array(8192)), signatures }
  const longest = {
    ...large,
    model: `${"a".repeat(47)}/${"b".repeat(48)}`,
    subject: `1.0.0-${"a".repeat(58)}`,
    seq: 2 ** 53 - 1,
  }
  assert.deepEqual(parseLeaf(formatLeaf(longest)), longest)
  const fat = { ...leaf, signatures: [{ keyid: "1".repeat(64), sig: new Uint8Array(16_000) }] }
  assert.throws(() => formatLeaf(fat), { code: "TOO_LARGE" })
})
test("envelopeOf: the payload from the leaf or from beside it, and never another", () => {
  const leaf = parse(publish)
  assert.deepEqual(envelopeOf(leaf, null).payload, payload)
  const large = new Uint8Array(9000)
  const outside = { ...leaf, payload: payloadOf("t", large) }
  assert.deepEqual(envelopeOf(outside, large), { payloadType: "t", payload: large, signatures: leaf.signatures })
  for (const bad of [null, new Uint8Array(0), new Uint8Array(8999), new Uint8Array(9000).fill(1)]) {
    assert.throws(() => envelopeOf(outside, bad), refused)
  }
  assert.throws(() => envelopeOf({ ...leaf, payload: { ...leaf.payload, sha256: "0".repeat(64) } }, null), refused)
})
