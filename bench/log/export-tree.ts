/**
 * A log of so many entries as the folder that `weighlock log export` writes, made without a database: every entry is a really
 * signed publish, put in order by the same `nextPublish` and `applyEntry` that the registry decides with.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

import {
  type Envelope,
  firstEntries,
  type NextEntry,
  nextPublish,
  ReplayedHistory,
  sha256Hex,
} from "@weighlock/manifest"
import {
  formatCheckpoint,
  formatEntryBundle,
  formatNote,
  GrowingTree,
  type Hash,
  signNote,
  tilePath,
  tileWidth,
} from "@weighlock/tlog"

import { modelOf, registry, signVersion, type World } from "./world.ts"

/** What of each level is not yet written; a tile is written when it is full, and at the end. */
class TileWriter {
  readonly #folder: string
  readonly #levels = new Map<number | "entries", { index: number; parts: Uint8Array[] }>()

  constructor(folder: string) {
    this.#folder = folder
  }

  add(level: number | "entries", part: Uint8Array): void {
    const open = this.#levels.get(level) ?? { index: 0, parts: [] }
    this.#levels.set(level, open)
    open.parts.push(part)
    if (open.parts.length === tileWidth) this.#write(level)
  }

  close(): void {
    for (const [level, { parts }] of this.#levels) if (parts.length > 0) this.#write(level)
  }

  #write(level: number | "entries"): void {
    const { index, parts } = this.#levels.get(level) ?? { index: 0, parts: [] }
    const path = join(this.#folder, tilePath({ level, index, width: parts.length }))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, level === "entries" ? formatEntryBundle(parts) : Buffer.concat(parts))
    this.#levels.set(level, { index: index + 1, parts: [] })
  }
}

export async function writeExport(folder: string, world: World, size: number): Promise<void> {
  const tiles = new TileWriter(folder)
  const tree = new GrowingTree()
  const history = new ReplayedHistory(world.trust)
  const append = ({ entry, opened }: NextEntry): void => {
    history.apply(opened)
    tiles.add("entries", entry)
    tree.append(opened.hash, (level: number, _index: number, hash: Hash) => {
      if (level % 8 === 0) tiles.add(level / 8, hash)
    })
  }
  for (const first of firstEntries(world.trust, world.log.vkey, Date.now())) append(first)
  for (let number = 0; tree.size < size; number++) {
    const envelope = await signVersion(world, number)
    append(nextPublish(history, admitted(envelope, number), Date.now()))
  }
  tiles.close()
  const { origin } = world.trust.current.log
  const text = formatCheckpoint({ origin, size, root: tree.root() })
  writeFileSync(join(folder, "checkpoint"), formatNote(await signNote(text, [world.log])))
}

/** What `admitPublish` would answer; it is what we have just made. */
function admitted({ payload, signatures }: Envelope, number: number): Parameters<typeof nextPublish>[1] {
  return {
    registry,
    model: modelOf(number),
    version: `0.0.${number}`,
    createdAt: "2026-11-23T12:00:00Z",
    digest: sha256Hex(payload),
    payload,
    signatures,
  }
}
