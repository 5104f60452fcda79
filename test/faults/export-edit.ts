/**
 * Rewrites an export as somebody who holds the log's key could: other entries, and then every tile and the checkpoint made
 * anew and signed.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

import { parsePrivateKey } from "@weighlock/manifest/node"
import {
  formatCheckpoint,
  formatEntryBundle,
  formatNote,
  GrowingTree,
  type Hash,
  hashLeaf,
  signNote,
  type Tile,
  tilePath,
  tilesBetween,
} from "@weighlock/tlog"

import type { World } from "../registry/support.ts"
import { fromFolder, readLog } from "./checker/served-log.ts"
import { vkeyOf } from "./load.ts"

/** Paths of the tiles and bundles, from the export's own folder. */
export function tilesOf(folder: string): string[] {
  return readdirSync(join(folder, "tile"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted()
}

export function flipBit(path: string, bit: number): void {
  const bytes = readFileSync(path)
  const at = Math.floor(bit / 8) % bytes.length
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit % 8))
  writeFileSync(path, bytes)
}

export async function entriesOf(folder: string): Promise<Buffer[]> {
  return [...(await readLog(fromFolder(folder))).entries]
}

/** The export of a log that always had these entries. */
export async function rewrite(folder: string, world: World, entries: readonly Uint8Array[]): Promise<void> {
  rmSync(join(folder, "tile"), { recursive: true })
  const nodes = new Map<string, Hash>()
  const tree = new GrowingTree()
  for (const entry of entries)
    tree.append(hashLeaf(entry), (level, index, hash) => nodes.set(`${level}/${index}`, hash))
  for (const tile of tilesBetween(0, entries.length)) {
    const path = join(folder, tilePath(tile))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, tileBytes(tile, entries, nodes))
  }
  const vkey = vkeyOf(world)
  const key = parsePrivateKey(readFileSync(join(world.folder, "log-key.pem"), "utf8"), null)
  const [origin = ""] = vkey.split("+")
  const text = formatCheckpoint({ origin, size: entries.length, root: tree.root() })
  writeFileSync(
    join(folder, "checkpoint"),
    formatNote(await signNote(text, [{ vkey, sign: (message) => key.sign(message) }])),
  )
}

function tileBytes(
  { level, index, width }: Tile,
  entries: readonly Uint8Array[],
  nodes: ReadonlyMap<string, Hash>,
): Uint8Array {
  const first = index * 256
  if (level === "entries") return formatEntryBundle(entries.slice(first, first + width))
  return Buffer.concat(
    Array.from({ length: width }, (_, i) => nodes.get(`${level * 8}/${first + i}`) ?? new Uint8Array(32)),
  )
}
