import assert from "node:assert/strict"
import { test } from "node:test"
import {
  emptyCheckpoint,
  formatCheckpoint,
  formatNote,
  openCheckpoint,
  parseCheckpoint,
  parseNote,
  parseSize,
  TlogError,
} from "@weighlock/tlog"
import { mangled } from "./manglings.ts"
import { bodyOf, logSigner, origin, signed, witness } from "./signers.ts"

const root = "nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI="
const text = `${origin}\n42\n${root}\n`

test("a checkpoint and its text", () => {
  const checkpoint = parseCheckpoint(text)
  assert.deepEqual(checkpoint, { origin, size: 42, root: new Uint8Array(Buffer.from(root, "base64")) })
  assert.equal(formatCheckpoint(checkpoint), text)
  const extended = parseCheckpoint(`${text}one\ntwo\n`)
  assert.deepEqual(extended.extension, ["one", "two"])
  assert.equal(formatCheckpoint(extended), `${text}one\ntwo\n`)
})

test("the empty tree has the root of RFC 6962", () => {
  assert.equal(
    formatCheckpoint(emptyCheckpoint(origin)),
    `${origin}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n`,
  )
})

test("texts that are no checkpoints", () => {
  const refused = [
    "",
    "\n\n\n",
    text.trimEnd(),
    `\n42\n${root}\n`,
    `${origin}\n\n${root}\n`,
    `${origin}\n042\n${root}\n`,
    `${origin}\n+42\n${root}\n`,
    `${origin}\n-1\n${root}\n`,
    `${origin}\n42 \n${root}\n`,
    `${origin}\n0x2a\n${root}\n`,
    `${origin}\n4e1\n${root}\n`,
    `${origin}\n٤٢\n${root}\n`,
    `${origin}\n42\n${root.replace("=", "")}\n`,
    `${origin}\n42\n${root.replace("I=", "J=")}\n`,
    `${origin}\n42\n${root.slice(4)}\n`,
    `${origin}\n42\n\n`,
    `${text}\n`,
    `${text}\nextension\n`,
    `${text}extension`,
    `${text}\textension\n`,
    text.replaceAll("\n", "\r\n"),
    text.replace("models", "mod\0els"),
    text.replace("models", "\udfff"),
  ]
  for (const bad of refused) assert.throws(() => parseCheckpoint(bad), { code: "MALFORMED" }, JSON.stringify(bad))
})

test("every mangled checkpoint is refused with a code, or is another with one spelling", () => {
  for (const bad of mangled(text)) {
    try {
      assert.equal(formatCheckpoint(parseCheckpoint(bad)), bad)
    } catch (error) {
      assert.ok(error instanceof TlogError, `${JSON.stringify(bad)}: ${String(error)}`)
    }
  }
})

test("sizes end at 2^53 - 1", () => {
  assert.equal(parseSize("9007199254740991"), Number.MAX_SAFE_INTEGER)
  for (const large of ["9007199254740992", "9007199254740993", "18446744073709551615"]) {
    assert.throws(() => parseSize(large), { code: "UNSUPPORTED" })
  }
  assert.throws(() => parseSize("1".repeat(21)), { code: "MALFORMED" })
})

test("what would not be a checkpoint is not written", () => {
  const good = parseCheckpoint(text)
  const refused = [
    { ...good, origin: "" },
    { ...good, origin: "two\nlines" },
    { ...good, size: -1 },
    { ...good, size: 1.5 },
    { ...good, size: Number.NaN },
    { ...good, size: 2 ** 53 },
    { ...good, size: 1e21 },
    { ...good, root: new Uint8Array(31) },
    { ...good, extension: [""] },
    { ...good, extension: ["two\nlines"] },
  ]
  for (const bad of refused) assert.throws(() => formatCheckpoint(bad), TlogError)
})

test("a log's checkpoint opens under its key and origin alone", async () => {
  const [log, other] = [logSigner(), logSigner()]
  const note = await signed(bodyOf(42), log)
  assert.equal(openCheckpoint(note, { origin, vkeys: [log.vkey] }).size, 42)
  assert.equal(openCheckpoint(note, { origin, vkeys: [other.vkey, log.vkey] }).size, 42)
  for (const vkeys of [[], [other.vkey]]) {
    assert.throws(() => openCheckpoint(note, { origin, vkeys }), { code: "SIGNATURE_INVALID" })
  }
  assert.throws(() => openCheckpoint(note, { origin: "other.example/log", vkeys: [log.vkey] }), {
    code: "SIGNATURE_INVALID",
  })
})

test("a note of the log that is no checkpoint, and a tree of nothing with a root", async () => {
  const log = logSigner()
  const prose = await signed("hello\n", log)
  assert.throws(() => openCheckpoint(prose, { origin, vkeys: [log.vkey] }), { code: "MALFORMED" })
  const large = await signed(text.replace("42", "9007199254740992"), log)
  assert.throws(() => openCheckpoint(large, { origin, vkeys: [log.vkey] }), { code: "UNSUPPORTED" })
  const hollow = await signed(bodyOf(0), log)
  assert.throws(() => openCheckpoint(hollow, { origin, vkeys: [log.vkey] }), { code: "INCONSISTENT" })
})

test("a witness's key is no log's key, and a key of small order is nobody's", async () => {
  const note = await signed(bodyOf(42), logSigner())
  assert.throws(() => openCheckpoint(note, { origin, vkeys: [witness(origin).vkey] }), { code: "MALFORMED" })
  assert.throws(() => openCheckpoint(note, { origin, vkeys: ["none"] }), { code: "MALFORMED" })
  assert.equal(formatNote(parseNote(note)), note)
})
