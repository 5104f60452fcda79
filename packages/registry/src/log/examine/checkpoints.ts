/** Are the checkpoints ours, and states that this log went through: those in the ledger, and the copy outside of it? */
import { type KeyObject, createPublicKey, verify } from "node:crypto"

import type { TrustRoot } from "@weighlock/manifest"
import {
  type Note,
  TlogError,
  encodeUtf8,
  equalHashes,
  formatCheckpoint,
  noteVerifier,
  parseCheckpoint,
  parseNote,
  parseSignatureLines,
  parseVkey,
} from "@weighlock/tlog"

import type { CheckpointRow, LedgerRows } from "../../store/ledger-rows.ts"
import { type Finding, finding, hex } from "./finding.ts"

export interface OpenedNote {
  readonly size: number
  readonly root: Uint8Array
}

/**
 * Opens notes that the log itself must have signed. node:crypto alone verifies: there may be one for each commit, and the
 * keys are those of our own trust root, which passed enrolment.
 */
export class OwnNotes {
  readonly #origin: string
  readonly #keys: readonly { readonly name: string; readonly id: string; readonly key: KeyObject }[]

  constructor({ origin, vkeys }: TrustRoot["log"]) {
    this.#origin = origin
    this.#keys = vkeys.flatMap((vkey) => {
      const parsed = parseVkey(vkey)
      if (parsed?.publicKey.length !== 32) return []
      const x = Buffer.from(parsed.publicKey).toString("base64url")
      return [{ ...parsed, key: createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" }) }]
    })
  }

  /** `null` for what this log did not sign. */
  open(text: string): OpenedNote | null {
    const note = noteOf(text)
    if (!note || !this.#isSigned(note)) return null
    const { origin, size, root } = parseCheckpoint(note.text)
    return origin === this.#origin ? { size, root } : null
  }

  #isSigned({ text, signatures }: Note): boolean {
    const message = encodeUtf8(text)
    return signatures.some(({ name, id, bytes }) =>
      this.#keys.some((own) => own.name === name && own.id === id && verify(null, message, own.key, bytes)),
    )
  }
}

function noteOf(text: string): Note | null {
  try {
    const note = parseNote(text)
    formatCheckpoint(parseCheckpoint(note.text))
    return note
  } catch (error) {
    if (error instanceof TlogError) return null
    throw error
  }
}

/** `root`: what the entries have at that size; `null` beyond the head. */
export function* examineCheckpoint(
  { size, note }: CheckpointRow,
  root: Uint8Array | null,
  own: OwnNotes,
): Generator<Finding> {
  const place = `log_checkpoints ${size}`
  const opened = own.open(note)
  if (!opened) {
    yield finding("checkpoint", place, "it is not a checkpoint that this log signed")
    return
  }
  if (opened.size !== size) yield finding("checkpoint", place, `it is of size ${opened.size}`)
  else if (!root) yield finding("checkpoint", place, "the log does not have as many entries")
  else if (!equalHashes(opened.root, root)) {
    yield finding("checkpoint", place, `it names the root ${hex(opened.root)}, the entries have ${hex(root)}`)
  }
}

/**
 * What the copy's slots hold. `null`: there is no file; no valid slot and nothing in them is a file that was made and not
 * yet written to.
 */
export function openSlots(slots: readonly string[] | null, own: OwnNotes): readonly (OpenedNote & { note: string })[] {
  return (slots ?? []).flatMap((note) => {
    const opened = own.open(note)
    return opened ? [{ ...opened, note }] : []
  })
}

/** Genesis and trust root: what a first start commits before it writes the first copy. */
const firstCommit = 2

/** `rootAt`: the root the entries have at a size up to the head. */
export function* examineCopy(
  slots: readonly string[] | null,
  size: number,
  own: OwnNotes,
  rootAt: (size: number) => Uint8Array | null,
): Generator<Finding> {
  const place = "the copy of the checkpoint"
  if (!slots) {
    if (size > 0)
      yield finding("copy", place, "there is no such file: nothing shows that the database is not an old one")
    return
  }
  const opened = openSlots(slots, own)
  if (opened.length === 0 && (size > firstCommit || slots.some((slot) => slot !== ""))) {
    yield finding("copy", place, "it holds no checkpoint that this log signed")
  }
  for (const copied of opened) {
    const root = rootAt(copied.size)
    if (copied.size > size) {
      yield finding("copy", place, `${copied.size} entries were published, the database has ${size}: it is an old one`)
    } else if (!root || !equalHashes(root, copied.root)) {
      const found = root ? hex(root) : "none"
      const message = `published at ${copied.size} entries was the root ${hex(copied.root)}, the database has ${found}`
      yield finding("copy", place, message)
    }
  }
}

export function* examineCosignatures(rows: LedgerRows): Generator<Finding> {
  for (const { size, vkey, line } of rows.cosignatures()) {
    const [row] = rows.checkpoints(size - 1, 1)
    if (!row || row.size !== size || !isCosigned(row.note, vkey, line)) {
      yield finding("cosignature", `log_cosignatures ${size} ${vkey}`, "it does not verify")
    }
  }
}

function isCosigned(note: string, vkey: string, line: string): boolean {
  try {
    const verifier = noteVerifier(vkey)
    const { text } = parseNote(note)
    const signatures = parseSignatureLines(line)
    return !verifier.able || signatures.every(({ bytes }) => verifier.verify(text, bytes))
  } catch (error) {
    if (error instanceof TlogError) return false
    throw error
  }
}
