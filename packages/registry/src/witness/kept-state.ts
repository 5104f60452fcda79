/**
 * The start-up proof of a witness: what its database says it cosigned is signed so, and is no less than what is kept beside
 * the database.
 *
 *     DATA/witness.sqlite            models.acme.example/log at 42
 *     DATA/cosigned/9f86d081…        its checkpoints 41 and 42 with the witness's own signature, in two slots
 *
 * A database that was restored from a backup, or that lost its last commits to a flipped bit in the WAL, would lead to a
 * second history being cosigned.
 */
import { createHash } from "node:crypto"
import { readdir } from "node:fs/promises"
import { join } from "node:path"

import {
  type Checkpoint,
  TlogError,
  equalHashes,
  noteVerifier,
  openCheckpoint,
  openNote,
  parseCheckpoint,
} from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import { CheckpointCopy } from "../log/checkpoint-copy.ts"
import type { Cosignment, WitnessStore } from "./store.ts"

/** SHA-256 (hex) of an origin: the name of its file, and its address in the protocol. */
export function originHash(origin: string): string {
  return createHash("sha256").update(origin).digest("hex")
}

export function copyPath(data: string, origin: string): string {
  return join(data, "cosigned", originHash(origin))
}

/** Every log the witness knows, and no file of one it does not know. Throws STORE_FAILED. */
export async function requireKept(data: string, store: WitnessStore, vkey: string): Promise<void> {
  const origins = store.origins()
  for (const origin of origins) {
    const last = store.cosigned(origin)
    if (last !== null) requireSigned(origin, last, store.keysOf(origin), vkey)
    await requireNotBehind(data, origin, () => last, vkey)
  }
  await requireNoOther(data, origins)
}

/** Nothing cosigned beyond `origins`: nothing at all, where there is no database yet. Throws STORE_FAILED. */
export async function requireNoOther(data: string, origins: readonly string[]): Promise<void> {
  const known = new Set(origins.map(originHash))
  for (const name of await readdir(join(data, "cosigned")).catch(() => [])) {
    // An empty one was made for a log that was then not added.
    const slots = known.has(name) ? [] : ((await CheckpointCopy.read(join(data, "cosigned", name))) ?? [])
    if (slots.some((slot) => slot !== "")) throw damaged(`cosigned/${name} is of a log that it does not know`)
  }
}

/** Throws STORE_FAILED where more was cosigned of that log than `readLast` says: asked last, as a running witness goes on. */
export async function requireNotBehind(
  data: string,
  origin: string,
  readLast: () => Cosignment | null,
  vkey: string,
): Promise<void> {
  const slots = await CheckpointCopy.read(copyPath(data, origin))
  const last = readLast()
  if (slots === null && last === null) return
  const what = `cosigned/${originHash(origin)}, the copy of what was cosigned of ${origin},`
  if (slots === null) throw damaged(`${what} is absent`)
  const written = slots.filter((slot) => slot !== "")
  const copy = newestSlot(slots, vkey)
  // A crash tears the slot that was being written, never both.
  if (copy === null && written.length > 1) throw damaged(`${what} can't be read`)
  if (copy === null) return
  const { size, root, origin: named } = copy.checkpoint
  if (named !== origin) throw damaged(`${what} is of ${named}`)
  if (last === null || last.size < size)
    throw damaged(`it ends at ${last?.size ?? 0} entries of ${origin}, and ${size} were cosigned`)
  if (last.size === size && !equalHashes(last.root, root)) throw damaged(`${what} has another tree of ${size} entries`)
}

/** The slot that holds the larger checkpoint, whole and signed by `vkey`. */
export function newestSlot(
  slots: readonly string[],
  vkey: string,
): { readonly text: string; readonly checkpoint: Checkpoint } | null {
  const opened = slots.flatMap((text) => {
    const checkpoint = openOwn(text, vkey)
    return checkpoint === null ? [] : [{ text, checkpoint }]
  })
  return opened.toSorted((a, b) => b.checkpoint.size - a.checkpoint.size)[0] ?? null
}

function openOwn(text: string, vkey: string): Checkpoint | null {
  try {
    return parseCheckpoint(openNote(text, [noteVerifier(vkey)]).note.text)
  } catch (error) {
    if (error instanceof TlogError) return null
    throw error
  }
}

function requireSigned(origin: string, { size, root, note }: Cosignment, vkeys: readonly string[], vkey: string): void {
  const own = openOwn(note, vkey)
  try {
    const checkpoint = openCheckpoint(note, { origin, vkeys })
    if (own !== null && checkpoint.size === size && equalHashes(checkpoint.root, root)) return
  } catch (error) {
    if (!(error instanceof TlogError)) throw error
  }
  throw damaged(`what it says was cosigned of ${origin} at ${size} entries is not signed so`)
}

function damaged(why: string): RegistryError {
  return new RegistryError("STORE_FAILED", `the state of this witness is damaged or an old copy: ${why}`, {
    hint: "a witness that forgot what it cosigned must not go on: make a new one, with a new key, and announce that",
  })
}
