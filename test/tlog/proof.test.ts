import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { formatProof, parseProof, type Proof } from "@weighlock/tlog"

const hash = "nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI="
const checkpoint = `models.acme.example/log\n3\n${hash}\n\n— models.acme.example/log obLD1AAAAAA=\n`
const text = `c2sp.org/tlog-proof@v1\nindex 2\n${hash}\n\n${checkpoint}`
const withExtra = text.replace("index", "extra aGVsbG8=\nindex")
const proof: Proof = { index: 2, hashes: [new Uint8Array(Buffer.from(hash, "base64"))], checkpoint }

test("a checkpoint that is none is refused, before and after one that is", () => {
  const bad = ["", checkpoint.slice(0, -1), checkpoint.replace("\n3\n", "\n03\n")]
  const refuse = (): void => {
    for (const each of bad) assert.throws(() => formatProof({ ...proof, checkpoint: each }), { code: "MALFORMED" })
  }
  refuse() // before this process has seen any: so this test is the first of the file
  for (let times = 0; times < 2; times++) assert.equal(formatProof(proof), text)
  refuse()
  assert.equal(formatProof(proof), text)
})

test("a proof and its text", () => {
  assert.deepEqual(parseProof(text), proof)
  assert.equal(formatProof(proof), text)
  const extra = new Uint8Array(Buffer.from("hello"))
  assert.deepEqual(parseProof(withExtra), { ...proof, extra })
  assert.equal(formatProof({ ...proof, extra }), withExtra)
  const alone = text.replace(`${hash}\n\n`, "\n").replace("index 2", "index 0")
  assert.deepEqual(parseProof(alone), { index: 0, hashes: [], checkpoint })
})

test("proof texts that are refused", () => {
  for (const bad of [
    "",
    "\n\n",
    checkpoint,
    text.replace("@v1", "@v2"),
    text.replace("\n", "\r\n"),
    text.replaceAll("\n", "\r\n"),
    `\uFEFF${text}`,
    ` ${text}`,
    `\n${text}`,
    text.replace("index 2", "index 02"),
    text.replace("index 2", "index +2"),
    text.replace("index 2", "index -2"),
    text.replace("index 2", "index 2 "),
    text.replace("index 2", "index  2"),
    text.replace("index 2", "index 0x2"),
    text.replace("index 2", "index ٢"),
    text.replace("index 2", "index"),
    text.replace("index 2\n", ""),
    text.replace("index 2", "index 2\nindex 2"),
    text.replace("index 2", "extra \nindex 2"),
    text.replace("index 2", "extra\nindex 2"),
    text.replace("index 2", "extra aGVsbG8\nindex 2"),
    text.replace("index 2", "extra aGVsbG9=\nindex 2"),
    text.replace("index 2", "extra aGVsbG8=\nextra aGVsbG8=\nindex 2"),
    text.replace("index 2", "index 2\nextra aGVsbG8="),
    text.replace(hash, hash.slice(0, -1)),
    text.replace(hash, `${hash} `),
    text.replace(hash, hash.replace("eI=", "eJ=")),
    text.replace(hash, "aGVsbG8="),
    text.replace(hash, hash.replaceAll("/", "_")),
    text.replace(`${hash}\n\n`, `${hash}\n`),
    text.replace(`${hash}\n\n`, `${hash}\n\n\n`),
    text.slice(0, text.indexOf("\n\n") + 2),
    text.slice(0, -1),
    text.replace("models", "\ud800"),
    text.replace(`${hash}\n\n`, `${`${hash}\n`.repeat(65)}\n`),
    `${text}${"x".repeat(200_000)}\n`,
    "x".repeat(1e7),
    text.replace("index 2", `extra ${"AAAA".repeat(21_846)}\nindex 2`),
  ]) {
    assert.throws(() => parseProof(bad), { code: "MALFORMED" }, bad.slice(0, 200))
  }
  for (const index of ["9007199254740992", "18446744073709551615"]) {
    assert.throws(() => parseProof(text.replace("index 2", `index ${index}`)), { code: "UNSUPPORTED" })
  }
  assert.throws(() => parseProof(text.replace("index 2", "index 100000000000000000000")), { code: "MALFORMED" })
})

test("every cut of the header and every changed character of it is refused or the one spelling of another proof", () => {
  for (const whole of [text, withExtra]) {
    const end = whole.indexOf("\n\n") + 2
    for (let at = 0; at < end; at++) {
      for (const bad of [
        whole.slice(0, at),
        whole.slice(0, at) + whole.slice(at + 1),
        ...["0", "A", "=", " ", "\n", "é"].map((char) => whole.slice(0, at) + char + whole.slice(at + 1)),
        ...["0", "A", "=", " ", "\n"].map((char) => whole.slice(0, at) + char + whole.slice(at)),
      ]) {
        let parsed
        try {
          parsed = parseProof(bad)
        } catch (error) {
          assert((error as { code: string }).code === "MALFORMED", String(error))
          continue
        }
        assert.equal(formatProof(parsed), bad)
      }
    }
  }
})

test("what formats parses back, what could not is not formatted", () => {
  const hashes = fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 64 })
  const extras = fc.option(fc.uint8Array({ minLength: 1 }), { nil: undefined })
  fc.assert(
    fc.property(fc.maxSafeNat(), hashes, extras, (index, list, extra) => {
      const made: Proof = { index, hashes: list, checkpoint, ...(extra === undefined ? {} : { extra }) }
      assert.deepEqual(parseProof(formatProof(made)), made)
    }),
  )
  for (const bad of [
    { ...proof, extra: new Uint8Array(0) },
    { ...proof, extra: new Uint8Array(65_537) },
    { ...proof, index: -1 },
    { ...proof, hashes: [new Uint8Array(31)] },
    { ...proof, hashes: Array.from({ length: 65 }, () => new Uint8Array(32)) },
    { ...proof, checkpoint: "" },
    { ...proof, checkpoint: `\n${checkpoint}` },
    { ...proof, checkpoint: "x".repeat(65_537) },
  ]) {
    assert.throws(() => formatProof(bad), { code: "MALFORMED" })
  }
  assert.throws(() => formatProof({ ...proof, index: 2 ** 53 }), { code: "UNSUPPORTED" })
})
