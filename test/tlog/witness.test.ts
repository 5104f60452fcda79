import assert from "node:assert/strict"
import { test } from "node:test"
import { formatAddCheckpoint, formatTlogSize, parseAddCheckpoint, parseTlogSize, TlogError } from "@weighlock/tlog"
import { mangled } from "./manglings.ts"

const hash = "nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI="
const checkpoint = `models.acme.example/log\n42\n${hash}\n\n— models.acme.example/log obLD1AAAAAA=\n`

test("an add-checkpoint request and its text", () => {
  const text = `old 40\n${hash}\n${hash}\n\n${checkpoint}`
  const request = parseAddCheckpoint(text)
  assert.equal(request.oldSize, 40)
  assert.equal(request.proof.length, 2)
  assert.equal(request.checkpoint, checkpoint)
  assert.equal(formatAddCheckpoint(request), text)
  const first = `old 0\n\n${checkpoint}`
  assert.equal(formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint }), first)
  assert.deepEqual(parseAddCheckpoint(first), { oldSize: 0, proof: [], checkpoint })
})

test("requests that are refused", () => {
  const refused = [
    "",
    "old 0\n",
    checkpoint,
    `0\n\n${checkpoint}`,
    `old\n\n${checkpoint}`,
    `old  0\n\n${checkpoint}`,
    `old 00\n\n${checkpoint}`,
    `old -1\n\n${checkpoint}`,
    `old 0 \n\n${checkpoint}`,
    `old 0\r\n\n${checkpoint}`,
    `\nold 0\n\n${checkpoint}`,
    `Old 0\n\n${checkpoint}`,
    `old 1\n${hash.slice(4)}\n\n${checkpoint}`,
    `old 1\n${hash} \n\n${checkpoint}`,
    `old 1\n${hash.replace("I=", "J=")}\n\n${checkpoint}`,
    `old 1\n${`${hash}\n`.repeat(64)}\n${checkpoint}`,
    `old 1\n\n${"x".repeat(70_000)}`,
  ]
  for (const bad of refused) {
    assert.throws(() => parseAddCheckpoint(bad), { code: "MALFORMED" }, JSON.stringify(bad.slice(0, 80)))
  }
  assert.equal(parseAddCheckpoint(`old 1\n${`${hash}\n`.repeat(63)}\n${checkpoint}`).proof.length, 63)
  assert.throws(() => parseAddCheckpoint(`old 9007199254740992\n\n${checkpoint}`), { code: "UNSUPPORTED" })
  assert.throws(() => formatAddCheckpoint({ oldSize: -1, proof: [], checkpoint }), { code: "MALFORMED" })
  assert.throws(() => formatAddCheckpoint({ oldSize: 1, proof: [new Uint8Array(3)], checkpoint }), TlogError)
})

test("every mangled request is refused with a code, or is another with one spelling", () => {
  for (const bad of mangled(`old 40\n${hash}\n\n${checkpoint}`)) {
    try {
      assert.equal(formatAddCheckpoint(parseAddCheckpoint(bad)), bad)
    } catch (error) {
      assert.ok(error instanceof TlogError, `${JSON.stringify(bad)}: ${String(error)}`)
    }
  }
})

test("the size in a 409", () => {
  assert.equal(parseTlogSize(formatTlogSize(42)), 42)
  assert.equal(parseTlogSize("0\n"), 0)
  for (const bad of ["", "42", "42\n\n", " 42\n", "042\n", "42\r\n", "-1\n", "forty-two\n"]) {
    assert.throws(() => parseTlogSize(bad), { code: "MALFORMED" }, JSON.stringify(bad))
  }
})
