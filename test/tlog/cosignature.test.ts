import assert from "node:assert/strict"
import { existsSync, readFileSync } from "node:fs"
import { test } from "node:test"
import {
  addSignatures,
  canVerifyMldsa44,
  cosign,
  cosignedMessage,
  formatCheckpoint,
  formatNote,
  joinCosignature,
  loadMldsa44,
  noteVerifier,
  openNote,
  openWitnessed,
  parseCheckpoint,
  parseNote,
  parsePolicy,
  parseVkey,
  splitCosignature,
  TlogError,
  verifyMldsa44WithNoble,
  verifyMldsa44WithNode,
} from "@weighlock/tlog"
import { bodyOf, logSigner, origin, quantumWitness, signed, witness } from "./signers.ts"

const path = new URL("../../../shared/vectors/notes.json", import.meta.url)
const skip = existsSync(path) ? false : "not checked: no vectors"
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

test("the message of an Ed25519 cosignature, byte for byte", () => {
  const text = `${origin}\n42\nnND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=\n`
  const message = new TextDecoder().decode(cosignedMessage(4, "w.example", 1_795_435_200, text))
  assert.equal(message, `cosignature/v1\ntime 1795435200\n${text}`)
  const extended = new TextDecoder().decode(cosignedMessage(4, "w.example", 0, `${text}extension\n`))
  assert.equal(extended, `cosignature/v1\ntime 0\n${text}extension\n`)
})

test("the message of an ML-DSA-44 cosignature: names, no extension", () => {
  const root = Buffer.alloc(32, 7)
  const text = formatCheckpoint({ origin: "o", size: 0x0102, root })
  const expected = [
    hex(Buffer.from("subtree/v1\n\0")),
    "0177", // w
    "000000006b045180",
    "016f", // o
    "0000000000000000",
    "0000000000000102",
    hex(root),
  ].join("")
  assert.equal(hex(cosignedMessage(6, "w", 0x6b045180, text)), expected)
  assert.equal(hex(cosignedMessage(6, "w", 0x6b045180, `${text}extension\n`)), expected)
})

test("what can't be cosigned", async () => {
  const one = witness("w.example")
  await assert.rejects(cosign("no checkpoint\n", one, 1), { code: "MALFORMED" })
  await assert.rejects(cosign(bodyOf(1), logSigner(), 1), { code: "UNSUPPORTED" })
  for (const time of [-1, 1.5, Number.NaN, 2 ** 53]) {
    await assert.rejects(cosign(bodyOf(1), one, time), { code: "MALFORMED" }, String(time))
  }
  await assert.rejects(cosign(bodyOf(1), { ...one, sign: witness("w.example").sign }, 1), { code: "SIGNATURE_INVALID" })
  await assert.rejects(cosign(bodyOf(1), quantumWitness("w".repeat(256)), 1), { code: "MALFORMED" })
})

for (const make of [witness, quantumWitness]) {
  test(`${make.name}: its cosignature opens the note, with its time; every changed byte is refused`, async () => {
    const one = make("w.example")
    const cosignature = await cosign(bodyOf(42), one, 1_795_435_200)
    const verifier = noteVerifier(one.vkey)
    assert.equal(splitCosignature(cosignature.bytes)?.time, 1_795_435_200)
    assert.ok(verifier.verify(bodyOf(42), cosignature.bytes))
    assert.ok(!verifier.verify(bodyOf(43), cosignature.bytes))
    assert.ok(!verifier.verify("hello\n", cosignature.bytes))
    for (let at = 0; at < Math.min(cosignature.bytes.length, 200); at++) {
      const changed = Uint8Array.from(cosignature.bytes)
      changed[at] = (changed[at] ?? 0) ^ 0x40
      assert.ok(!verifier.verify(bodyOf(42), changed), `byte ${at}`)
    }
    for (const length of [0, 7, 8, 9, 71, cosignature.bytes.length - 1]) {
      assert.ok(!verifier.verify(bodyOf(42), cosignature.bytes.subarray(0, length)), `${length} bytes`)
    }
    assert.ok(!verifier.verify(bodyOf(42), Uint8Array.of(...cosignature.bytes, 0)))
  })
}

test("a note signature is no cosignature and a cosignature no note signature", async () => {
  const [log, one] = [logSigner("w.example"), witness("w.example")]
  const signature = parseNote(await signed(bodyOf(42), log)).signatures[0]
  const cosignature = await cosign(bodyOf(42), one, 1)
  assert.ok(signature !== undefined)
  assert.ok(!noteVerifier(one.vkey).verify(bodyOf(42), signature.bytes))
  assert.ok(!noteVerifier(log.vkey).verify(bodyOf(42), cosignature.bytes))
  assert.ok(!noteVerifier(log.vkey).verify(bodyOf(42), cosignature.bytes.subarray(8)))
})

const dated = (time: bigint): Uint8Array => {
  const bytes = new Uint8Array(72)
  new DataView(bytes.buffer).setBigUint64(0, time)
  return bytes
}

test("a time after the year 9999 is refused: no Date holds it, and beyond 2^53 it would be rounded", () => {
  const last = BigInt(Date.parse("9999-12-31T23:59:59Z") / 1000)
  assert.equal(splitCosignature(dated(last))?.time, Number(last))
  for (const time of [last + 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    assert.equal(splitCosignature(dated(time)), null, String(time))
  }
  for (const time of [Number(last) + 1, -1, 0.5, Number.NaN, 2 ** 53]) {
    assert.throws(() => joinCosignature({ time, signature: new Uint8Array(64) }), { code: "MALFORMED" })
    assert.throws(() => cosignedMessage(4, "w.example", time, bodyOf(1)), { code: "MALFORMED" })
  }
})

test("a cosignature that is well signed for a time after the year 9999 does not hold", async () => {
  const [log, one] = [logSigner(), witness("w.example")]
  const time = 2 ** 53 - 1
  const signature = await one.sign(Buffer.from(`cosignature/v1\ntime ${time}\n${bodyOf(42)}`))
  const bytes = Uint8Array.of(...dated(BigInt(time)).subarray(0, 8), ...signature)
  const { name = "", id = "" } = parseVkey(one.vkey) ?? {}
  const note = addSignatures(await signed(bodyOf(42), log), [{ name, id, bytes }])
  const policy = parsePolicy(`witness w ${one.vkey}\nquorum w\n`)
  assert.throws(() => openWitnessed(note, { origin, vkeys: [log.vkey], policy }), { code: "SIGNATURE_INVALID" })
})

test("other people's cosignatures carry the time they say", { skip }, () => {
  const { ok } = JSON.parse(readFileSync(path, "utf8")) as {
    ok: { note: string; vkeys: string[]; timestamp?: number }[]
  }
  const timed = ok.filter(({ timestamp }) => timestamp !== undefined)
  assert.equal(timed.length, 3)
  for (const { note, vkeys, timestamp } of timed) {
    const { verified } = openNote(note, vkeys.map(noteVerifier))
    assert.equal(splitCosignature(verified[0]?.bytes ?? new Uint8Array())?.time, timestamp)
  }
})

test("ML-DSA-44: node:crypto and @noble/post-quantum say the same", async () => {
  assert.ok(await loadMldsa44())
  assert.ok(canVerifyMldsa44())
  const one = quantumWitness("w.example")
  const { publicKey = new Uint8Array() } = parseVkey(one.vkey) ?? {}
  const message = cosignedMessage(6, "w.example", 1, bodyOf(42))
  const signature = await one.sign(message)
  const wrong = Uint8Array.from(signature)
  wrong[100] = (wrong[100] ?? 0) ^ 1
  for (const [bytes, verdict] of [
    [signature, true],
    [wrong, false],
    [signature.subarray(1), false],
  ] as const) {
    assert.equal(verifyMldsa44WithNoble(publicKey, bytes, message), verdict)
    assert.equal(verifyMldsa44WithNode(publicKey, bytes, message) ?? verdict, verdict)
  }
})

test("a cosigned note keeps the log's text and signature as they were", async () => {
  const log = logSigner()
  const note = await signed(bodyOf(42), log)
  const cosigned = addSignatures(note, [await cosign(bodyOf(42), witness("w.example"), 5)])
  assert.ok(cosigned.startsWith(note))
  assert.equal(parseCheckpoint(parseNote(cosigned).text).size, 42)
  assert.equal(formatNote(parseNote(cosigned)), cosigned)
  assert.throws(() => openNote(cosigned, [noteVerifier(witness("w.example").vkey)]), TlogError)
})
