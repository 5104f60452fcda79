/** A log in memory, all its tiles at one size, that can be made to lie: `files` may be changed, `source` reads them. */
import { generateKeyPairSync, sign } from "node:crypto"
import {
  type Checkpoint,
  formatCheckpoint,
  formatEntryBundle,
  formatNote,
  formatVkey,
  GrowingTree,
  type Hash,
  hashLeaf,
  type LogSource,
  type NoteSigner,
  signNote,
  type Tile,
  tilePath,
  tilesBetween,
} from "@weighlock/tlog"

export const origin = "models.acme.example/log"
const { publicKey, privateKey } = generateKeyPairSync("ed25519")
export const vkey = formatVkey(origin, new Uint8Array(publicKey.export({ format: "der", type: "spki" }).subarray(12)))
const signer: NoteSigner = { vkey, sign: (message) => new Uint8Array(sign(null, message, privateKey)) }

export interface MemoryLog {
  readonly entries: readonly Uint8Array[]
  readonly tree: GrowingTree
  readonly checkpoint: Checkpoint
  readonly note: string
  readonly files: Map<string, Uint8Array>
  readonly source: LogSource
  /** What was read so far. */
  readonly reads: string[]
}

export function numbered(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, at) => new TextEncoder().encode(`entry ${at}`))
}

export async function memoryLog(entries: readonly Uint8Array[]): Promise<MemoryLog> {
  const tree = new GrowingTree()
  const hashes: Hash[][] = []
  for (const entry of entries) {
    tree.append(hashLeaf(entry), (level, _, hash) => {
      if (level % 8 === 0) (hashes[level / 8] ??= []).push(hash)
    })
  }
  const bytesOf = ({ level, index, width }: Tile): Uint8Array => {
    const [first, end] = [index * 256, index * 256 + width]
    if (level === "entries") return formatEntryBundle(entries.slice(first, end))
    return new Uint8Array(Buffer.concat(hashes[level]!.slice(first, end)))
  }
  const files = new Map(tilesBetween(0, entries.length).map((tile) => [tilePath(tile), bytesOf(tile)]))
  const checkpoint = { origin, size: entries.length, root: tree.root() }
  const note = await signed(checkpoint)
  files.set("checkpoint", new TextEncoder().encode(note))
  const reads: string[] = []
  const read = (path: string): Promise<Uint8Array> => {
    reads.push(path)
    const bytes = files.get(path)
    return bytes === undefined ? Promise.reject(new Error(`absent: ${path}`)) : Promise.resolve(Uint8Array.from(bytes))
  }
  return { entries, tree, checkpoint, note, files, reads, source: { checkpoint: () => read("checkpoint"), read } }
}

export async function signed(checkpoint: Checkpoint): Promise<string> {
  return formatNote(await signNote(formatCheckpoint(checkpoint), [signer]))
}

/** One bit of one file, turned over. */
export function flip({ files }: MemoryLog, path: string, bit: number): void {
  const bytes = files.get(path)!
  bytes[bit >> 3]! ^= 1 << (bit & 7)
}
