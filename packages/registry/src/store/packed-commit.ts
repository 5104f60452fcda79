/**
 * A commit on its way to the writer's thread: its bytes in one buffer that changes hands, the rest as one text. To clone some
 * thousand small objects would cost as much as to write them.
 */
import { decodeUtf8, encodeUtf8 } from "@weighlock/manifest/base"

import { type Slice, Packer, unpack } from "../packed.ts"
import type { LogCommit, NewEntry } from "./ledger.ts"

export interface PackedCommit {
  readonly text: string
  readonly bytes: ArrayBuffer
}

/** A note holds a dash beyond Latin-1, for which all of the text would take two bytes a character: it goes with the bytes. */
type PackedLog = Packed<Omit<LogCommit, "note">> & { readonly note: Slice | null }

/** The same with places in the buffer where it has bytes. */
type Packed<T> = T extends Uint8Array ? Slice : T extends object ? { readonly [K in keyof T]: Packed<T[K]> } : T

export function packCommit({ from, to, entries, tiles, note }: LogCommit): PackedCommit {
  const packer = new Packer()
  const packed: PackedLog = {
    from: { ...from, root: packer.add(from.root) },
    to: { ...to, root: packer.add(to.root) },
    entries: entries.map((entry) => packEntry(entry, packer)),
    tiles: tiles.map((tile) => ({ ...tile, hashes: packer.add(tile.hashes) })),
    note: note === null ? null : packer.add(encodeUtf8(note)),
  }
  return { text: JSON.stringify(packed), bytes: packer.pack() }
}

function packEntry(entry: NewEntry, packer: Packer): Packed<NewEntry> {
  const { index, leaf, hash, place, payload, manifest, trustRoot } = entry
  return {
    index,
    leaf: packer.add(leaf),
    hash: packer.add(hash),
    ...(place && { place }),
    ...(payload && { payload: { sha256: payload.sha256, bytes: packer.add(payload.bytes) } }),
    ...(manifest && { manifest: namesOf(manifest) }),
    ...(trustRoot && { trustRoot }),
  }
}

/** What is passed as a manifest holds more than its row does. */
function namesOf({ digest, model, version, createdAt, blobs }: NonNullable<NewEntry["manifest"]>) {
  return { digest, model, version, createdAt, blobs }
}

/** Its bytes are views of the buffer. */
export function unpackCommit({ text, bytes }: PackedCommit): LogCommit {
  const { from, to, entries, tiles, note } = JSON.parse(text) as PackedLog
  return {
    from: { ...from, root: unpack(bytes, from.root) },
    to: { ...to, root: unpack(bytes, to.root) },
    entries: entries.map((entry) => unpackEntry(entry, bytes)),
    tiles: tiles.map((tile) => ({ ...tile, hashes: unpack(bytes, tile.hashes) })),
    note: note && decodeUtf8(unpack(bytes, note), "the note"),
  }
}

function unpackEntry({ leaf, hash, payload, ...rest }: Packed<NewEntry>, bytes: ArrayBuffer): NewEntry {
  return {
    ...rest,
    leaf: unpack(bytes, leaf),
    hash: unpack(bytes, hash),
    ...(payload && { payload: { sha256: payload.sha256, bytes: unpack(bytes, payload.bytes) } }),
  }
}
