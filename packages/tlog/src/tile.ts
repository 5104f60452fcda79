/**
 * Tiles: the log as immutable files of up to 256 hashes or entries (c2sp.org/tlog-tiles).
 *
 *     tile/0/x001/x234/067         256 leaf hashes, those of the entries 1234067·256 and on: full
 *     tile/1/000.p/17              17 hashes, each the root over one full tile of level 0: partial
 *     tile/entries/000.p/8         8 entries, each a big-endian uint16 length and so many bytes
 *
 * A hash tile of level L holds the tree's nodes of level 8·L. What is read from tiles proves nothing yet: make a proof
 * of it and verify that against a signed root.
 */
import { malformed, requireCount, TlogError } from "./errors.ts"
import { hashLength } from "./hash.ts"

export const tileWidth = 256

export interface Tile {
  /** 0 to 63, or the entries themselves. */
  readonly level: number | "entries"
  readonly index: number
  /** 1 to 255: a partial tile; 256: a full one. */
  readonly width: number
}

export function tilePath({ level, index, width }: Tile): string {
  requireCount(index, "tile index")
  requireTile(level, width)
  const groups =
    index
      .toString()
      .padStart(3, "0")
      .match(/\d{1,3}(?=(?:\d{3})*$)/g) ?? []
  const path = groups.map((group, at) => (at < groups.length - 1 ? "x" : "") + group.padStart(3, "0")).join("/")
  return `tile/${level}/${path}${width === tileWidth ? "" : `.p/${width}`}`
}

const pathForm = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/(\d{1,3}))?$/

/** `MALFORMED` unless it is the one spelling of a tile; `UNSUPPORTED` for an index beyond 2^53 - 1. */
export function parseTilePath(path: string): Tile {
  const [, level = "", index = "", width = `${tileWidth}`] = pathForm.exec(path) ?? []
  const digits = index.replaceAll(/[x/]/g, "")
  const tile: Tile = { level: level === "entries" ? level : Number(level), index: Number(digits), width: Number(width) }
  if (digits === "" || tile.width < 1 || tile.width > tileWidth) throw malformed(`not a tile path: ${quoted(path)}`)
  if (!Number.isSafeInteger(tile.index))
    throw new TlogError("UNSUPPORTED", `tile index above 2^53 - 1: ${quoted(path)}`)
  if (tile.level !== "entries" && tile.level > 63) throw malformed(`a tile has level 0 to 63: ${quoted(path)}`)
  if (tilePath(tile) !== path) throw malformed(`not the one spelling of a tile path: ${quoted(path)}`)
  return tile
}

/** How many bytes a hash tile has. */
export function hashTileLength(width: number): number {
  return width * hashLength
}

/**
 * Every tile, entries and hashes, that a log of size `to` has and one of size `from` had not: bundles first, then the
 * hash tiles level by level. A partial one comes with the width it has at `to`; widths in between are left out.
 */
export function tilesBetween(from: number, to: number): Tile[] {
  requireCount(from, "earlier log size")
  requireCount(to, "later log size")
  const tiles = levelTilesBetween("entries", from, to)
  for (let level = 0, span = 1; span <= to; level += 1, span *= tileWidth) {
    tiles.push(...levelTilesBetween(level, Math.floor(from / span), Math.floor(to / span)))
  }
  return tiles
}

/** `before` and `after` count the hashes, or entries, of this level. */
function levelTilesBetween(level: Tile["level"], before: number, after: number): Tile[] {
  const tiles: Tile[] = []
  if (before >= after) return tiles
  for (let index = Math.floor(before / tileWidth); index * tileWidth < after; index++) {
    tiles.push({ level, index, width: Math.min(tileWidth, after - index * tileWidth) })
  }
  return tiles
}

function requireTile(level: Tile["level"], width: number): void {
  if (level !== "entries" && !(Number.isInteger(level) && level >= 0 && level <= 63)) {
    throw malformed(`a tile has level 0 to 63, not ${level}`)
  }
  if (!(Number.isInteger(width) && width >= 1 && width <= tileWidth)) throw malformed(`a tile has 1 to 256 hashes`)
}

function quoted(path: string): string {
  return JSON.stringify(path.length > 100 ? `${path.slice(0, 100)}…` : path)
}
