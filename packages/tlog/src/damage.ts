/** What a log serves and did not sign: which file, and the first place in it that is wrong. */
import { type TlogErrorCode, TlogError } from "./errors.ts"
import { type Hash, hashLength } from "./hash.ts"
import { type Tile, tilePath, tileWidth } from "./tile.ts"

export interface Damage {
  /** The tile's or entry bundle's path. */
  readonly path: string
  /** The first hash or entry in it that is wrong, from 0. */
  readonly place: number
  /** The first entry of the log that this place stands for. */
  readonly index: number
}

export function damageAt(tile: Tile, place: number): Damage {
  const span = tile.level === "entries" ? 1 : tileWidth ** tile.level
  return { path: tilePath(tile), place, index: (tile.index * tileWidth + place) * span }
}

/** Entries that are not the ones the log has signed. */
export class DamageError extends TlogError {
  override readonly name = "DamageError"
  readonly damage: Damage
  constructor(code: TlogErrorCode, damage: Damage, what: string) {
    super(code, `${damage.path}, place ${damage.place} (entry ${damage.index} of the log): ${what}`)
    this.damage = damage
  }
}

/** The first of these hashes that `bytes` has not at its place, or has too many after; `null` when there is none. */
export function firstDifference(hashes: readonly (Hash | null)[], bytes: Uint8Array): number | null {
  for (const [place, hash] of hashes.entries()) {
    const at = place * hashLength
    if (bytes.length < at + hashLength) return place
    if (hash !== null && !isAt(hash, bytes, at)) return place
  }
  return bytes.length === hashes.length * hashLength ? null : hashes.length - 1
}

function isAt(hash: Hash, bytes: Uint8Array, at: number): boolean {
  for (let byte = 0; byte < hashLength; byte++) if (hash[byte] !== bytes[at + byte]) return false
  return true
}
