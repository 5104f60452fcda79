import assert from "node:assert/strict"
import { existsSync, readFileSync } from "node:fs"
import { test } from "node:test"
import {
  addSignatures,
  cosign,
  formatNote,
  noteLimits,
  type NoteSignature,
  type NoteSigner,
  noteVerifier,
  type NoteVerifier,
  openNote,
  parseNote,
  parseSignatureLines,
  signNote,
  TlogError,
  tlogErrorCodes,
} from "@weighlock/tlog"
import { mangled } from "./manglings.ts"
import { bodyOf, logSigner, signed, witness } from "./signers.ts"

interface Vector {
  readonly id: string
  readonly vkeys: readonly string[]
  readonly note: string
}

const path = new URL("../../../shared/vectors/notes.json", import.meta.url)
const skip = existsSync(path) ? false : "not checked: no vectors"
const vectors = (): Vector[] => (JSON.parse(readFileSync(path, "utf8")) as { ok: Vector[] }).ok
const signature = "— models.acme.example/log obLD1AAAAAA=\n"

function coded(error: unknown): boolean {
  return error instanceof TlogError && tlogErrorCodes.includes(error.code)
}

test("other people's notes open under their keys, and under no other's", { skip }, () => {
  const all = vectors()
  assert.equal(all.length, 8)
  for (const { id, vkeys, note } of all) {
    const opened = openNote(note, vkeys.map(noteVerifier))
    assert.equal(opened.verified.length, 1, id)
    assert.equal(formatNote(parseNote(note)), note, id)
    assert.throws(() => openNote(note, [noteVerifier(logSigner().vkey)]), { code: "SIGNATURE_INVALID" }, id)
  }
})

test("other people's notes with one character changed are refused", { skip }, () => {
  // Those of one short signature: what is changed in a stranger's signature is rightly ignored.
  for (const { id, vkeys, note } of vectors().filter((each) => !each.id.includes("mldsa"))) {
    if (parseNote(note).signatures.length > 1) continue
    const verifiers = vkeys.map(noteVerifier)
    for (const [at, character] of Array.from(note).entries()) {
      const other = character === "A" ? "B" : "A"
      const changed = Array.from(note).with(at, other).join("")
      assert.throws(() => openNote(changed, verifiers), coded, `${id}: ${at}`)
    }
  }
})

test("texts that are no notes", () => {
  const refused = [
    "",
    "\n",
    "\n\n",
    "text\n",
    "text\n\n",
    `text\n${signature}`,
    `text\n\n${signature.trimEnd()}`,
    `text\n\n${signature}\n`,
    `text\n\n${signature}trailing\n`,
    `text\r\n\n${signature}`,
    `text\t\n\n${signature}`,
    `text\0\n\n${signature}`,
    `text\ud800\n\n${signature}`,
    `text\n\n-${signature.slice(1)}`,
    `text\n\n${signature.replace("— ", "—  ")}`,
    `text\n\n${signature.replace("acme", "ac+me")}`,
    `text\n\n${signature.replace("acme", "ac\u00a0me")}`,
    `text\n\n${signature.replace("acme", "ac\u2003me")}`,
    `text\n\n${signature.replace("models.acme.example/log", "")}`,
    `text\n\n— models.acme.example/log \n`,
    `text\n\n— models.acme.example/log obLD1A==\n`,
    `text\n\n— models.acme.example/log obLD1AB=\n`,
    `text\n\n— models.acme.example/log obLD1AA\n`,
    `text\n\n— models.acme.example/log obLD1AA= x\n`,
    `text\n\n${signature}${signature.slice(1)}`,
  ]
  for (const bad of refused) assert.throws(() => parseNote(bad), { code: "MALFORMED" }, JSON.stringify(bad))
})

test("a text may hold empty lines; the last one parts it from the signatures", () => {
  assert.equal(parseNote(`a\n\nb\n\n${signature}`).text, "a\n\nb\n")
  assert.equal(parseNote(`a\n\n\n${signature}`).text, "a\n\n")
  assert.equal(parseNote(`\n\n${signature}`).text, "\n")
})

test("caps: 64 KiB in UTF-8, 80 signatures, both exactly", () => {
  const room = noteLimits.bytes - signature.length - 2 // the dash has three bytes
  const filled = (length: number): string => `${"x".repeat(length - 2)}\n\n${signature}`
  assert.equal(Buffer.byteLength(filled(room)), noteLimits.bytes)
  parseNote(filled(room))
  assert.throws(() => parseNote(filled(room + 1)), { code: "MALFORMED" })
  assert.throws(() => parseNote(`${"é".repeat(40_000)}\n\n${signature}`), { code: "MALFORMED" })
  parseNote(`x\n\n${signature.repeat(80)}`)
  assert.throws(() => parseNote(`x\n\n${signature.repeat(81)}`), { code: "MALFORMED" })
})

test("every mangled note is refused with a code, or is another note with one spelling", () => {
  for (const bad of mangled(`text\n\n${signature}`)) {
    try {
      assert.equal(formatNote(parseNote(bad)), bad)
    } catch (error) {
      assert.ok(coded(error), `${JSON.stringify(bad)}: ${String(error)}`)
    }
  }
})

test("signed by the log: opens; with anything in it changed it does not", async () => {
  const log = logSigner()
  const note = await signed(bodyOf(42), log)
  assert.equal(openNote(note, [noteVerifier(log.vkey)]).note.text, bodyOf(42))
  for (const bad of mangled(note)) assert.throws(() => openNote(bad, [noteVerifier(log.vkey)]), coded)
})

test("unknown keys are ignored, a known key's bad signature is not", async () => {
  const [one, two, stranger] = [logSigner(), logSigner("other.example/log"), logSigner("stranger.example")]
  const note = await signed(bodyOf(42), one, stranger)
  const both = [noteVerifier(one.vkey), noteVerifier(two.vkey)]
  assert.equal(openNote(note, both).verified.length, 1)
  assert.throws(() => openNote(note, [noteVerifier(two.vkey)]), { code: "SIGNATURE_INVALID" })
  assert.throws(() => openNote(note, []), { code: "SIGNATURE_INVALID" })
  // two's signature of another text beside one's good one
  const foreign = parseNote(await signed(bodyOf(43), two)).signatures
  const poisoned = addSignatures(note, foreign)
  assert.throws(() => openNote(poisoned, both), { code: "SIGNATURE_INVALID" })
  assert.equal(openNote(poisoned, [noteVerifier(one.vkey)]).verified.length, 1)
})

/** Counts how often it is asked. */
function counting(vkey: string): { readonly verifier: NoteVerifier; asked: number } {
  const inner = noteVerifier(vkey)
  const counted = {
    asked: 0,
    verifier: {
      ...inner,
      verify: (text: string, bytes: Uint8Array): boolean => {
        counted.asked++
        return inner.verify(text, bytes)
      },
    },
  }
  return counted
}

test("a line that is repeated is verified once, and told once; unknown keys are not verified at all", async () => {
  const [log, stranger] = [logSigner(), logSigner("stranger.example")]
  const note = parseNote(await signed(bodyOf(42), log))
  const [line = note.signatures[0], other] = parseNote(await signed(bodyOf(42), log, stranger)).signatures
  assert.ok(line !== undefined && other !== undefined)
  const counted = counting(log.vkey)
  const full = formatNote({
    ...note,
    signatures: [...Array(60).fill(line), ...Array(20).fill(other)] as NoteSignature[],
  })
  assert.deepEqual(openNote(full, [counted.verifier]).verified, [line])
  assert.equal(counted.asked, 1)
})

const datedBy = async (by: NoteSigner, count: number): Promise<NoteSignature[]> =>
  Promise.all(Array.from({ length: count }, (_, at) => cosign(bodyOf(42), by, at + 1)))

test("a key that signed too often: 16 of all keys are always looked at, of more at most 4 by one key", async () => {
  const [log, one] = [logSigner(), witness("one.example")]
  const others = await Promise.all(
    Array.from({ length: 13 }, async (_, at) => {
      const by = witness(`w${at}.example`)
      return { vkey: by.vkey, signature: await cosign(bodyOf(42), by, 1) }
    }),
  )
  const opened = async (own: number, foreign: number): Promise<{ verified: number; asked: number }> => {
    const lines = [...(await datedBy(one, own)), ...others.slice(0, foreign).map(({ signature: line }) => line)]
    const counted = counting(one.vkey)
    const verifiers = [counted.verifier, ...others.map(({ vkey }) => noteVerifier(vkey))]
    const { verified } = openNote(addSignatures(await signed(bodyOf(42), log), lines), verifiers)
    return { verified: verified.length, asked: counted.asked }
  }
  assert.deepEqual(await opened(16, 0), { verified: 16, asked: 16 })
  assert.deepEqual(await opened(4, 13), { verified: 17, asked: 4 })
  await assert.rejects(opened(17, 0), { code: "MALFORMED" })
  await assert.rejects(opened(5, 12), { code: "MALFORMED" })
  await assert.rejects(opened(79, 0), { code: "MALFORMED" })
})

test("same name, another key: its signature is a stranger's", async () => {
  const [real, twin] = [logSigner(), logSigner()]
  const note = await signed(bodyOf(42), twin)
  assert.throws(() => openNote(note, [noteVerifier(real.vkey)]), { code: "SIGNATURE_INVALID" })
  const relabelled = parseNote(await signed(bodyOf(42), real)).signatures.map(({ id, name }) => ({
    name,
    id,
    bytes: parseNote(note).signatures[0]?.bytes ?? new Uint8Array(64),
  }))
  const forged = formatNote({ text: bodyOf(42), signatures: relabelled })
  assert.throws(() => openNote(forged, [noteVerifier(real.vkey)]), { code: "SIGNATURE_INVALID" })
})

test("a signer that is not who its vkey says signs nothing", async () => {
  const [one, two] = [logSigner(), logSigner()]
  const impostor = { vkey: one.vkey, sign: two.sign }
  await assert.rejects(signNote(bodyOf(1), [impostor]), { code: "SIGNATURE_INVALID" })
  await assert.rejects(signNote(bodyOf(1), [{ vkey: one.vkey, sign: () => new Uint8Array(63) }]), {
    code: "SIGNATURE_INVALID",
  })
  await assert.rejects(signNote(bodyOf(1), [{ ...one, vkey: "none" }]), { code: "MALFORMED" })
  await assert.rejects(signNote(bodyOf(1), [witness("w.example")]), { code: "MALFORMED" })
  await assert.rejects(signNote("no line feed", [one]), { code: "MALFORMED" })
  await assert.rejects(signNote(bodyOf(1), []), { code: "MALFORMED" })
})

test("signatures are added once", async () => {
  const [one, two] = [logSigner(), logSigner("other.example/log")]
  const note = await signed(bodyOf(42), one)
  const more = parseNote(await signed(bodyOf(42), two)).signatures
  const both = addSignatures(note, more)
  assert.equal(both, note + both.slice(note.length))
  assert.equal(parseNote(both).signatures.length, 2)
  assert.equal(addSignatures(both, more), both)
})

test("signature lines alone: at least one, each ended", () => {
  assert.equal(parseSignatureLines(signature + signature).length, 2)
  for (const bad of ["", "\n", signature.trimEnd(), `${signature}\n`, `\n${signature}`, `text\n\n${signature}`]) {
    assert.throws(() => parseSignatureLines(bad), { code: "MALFORMED" }, JSON.stringify(bad))
  }
})
