/**
 * A log of some hundred entries and its export, made in memory: for tests that damage one, or sign another with the same
 * key.
 *
 *     const made = await makeLog({ publishes: 598 })       // 600 entries
 *     writeLog(folder, made.log)                           // checkpoint, tile/…, payload/sha256/…
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { type Envelope, makeStatement, parseLeaf, sha256Hex, type Signer, type TrustChain } from "@weighlock/manifest"
import { formatEntryBundle, hashLeaf, GrowingTree, type Hash, tilePath, tilesBetween } from "@weighlock/tlog"
import { TinyLog } from "./tiny-log.ts"
import { draft, ed25519Signer, file, logKey, makeChain, signManifest } from "./trust.ts"

export interface MadeLog {
  readonly chain: TrustChain
  readonly signer: Signer
  readonly log: TinyLog
  /** By index, from 2 on. */
  readonly envelopes: readonly (Envelope | null)[]
}

export interface LogShape {
  readonly publishes: number
  readonly models?: number
  /** Every so many, a manifest too large to stand in its entry. */
  readonly largeEvery?: number
}

export async function makeLog({ publishes, models = 7, largeEvery = 100 }: LogShape): Promise<MadeLog> {
  const signer = ed25519Signer()
  const chain = await makeChain([signer])
  const log = new TinyLog(chain, logKey)
  const envelopes: (Envelope | null)[] = [null, null]
  for (let at = 0; at < publishes; at++) {
    const envelope = await signPublish(signer, at, models, at % largeEvery === largeEvery - 1)
    log.publish(envelope)
    envelopes.push(envelope)
  }
  return { chain, signer, log, envelopes }
}

export function signPublish(signer: Signer, at: number, models: number, large = false, seed = ""): Promise<Envelope> {
  const names = Array.from({ length: large ? 80 : 1 }, (_, part) => `part-${String(part).padStart(3, "0")}.bin`)
  const resources = [...names.map((name) => file(name, `${seed}${at}/${name}`)), file("weights.bin", `${seed}${at}`)]
  const model = `acme/model-${at % models}`
  const version = `1.${Math.floor(at / models)}.0`
  return signManifest(makeStatement(draft({ model, version, format: "other", entrypoint: "weights.bin", resources })), [
    signer,
  ])
}

/** Every file of a static log of `size` entries, by path. */
export function logFiles(log: TinyLog, size: number = log.size): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>([["checkpoint", Buffer.from(log.note(size))]])
  const nodes = nodesOf(log.entries.slice(0, size))
  for (const tile of tilesBetween(0, size)) {
    const { level, index, width } = tile
    const first = index * 256
    const bytes =
      level === "entries"
        ? formatEntryBundle(log.entries.slice(first, first + width))
        : Buffer.concat((nodes[level] ?? []).slice(first, first + width))
    files.set(tilePath(tile), bytes)
  }
  for (const [at, entry] of log.entries.slice(0, size).entries()) {
    const payload = log.payloads[at] ?? new Uint8Array(0)
    if (isLarge(entry)) files.set(`payload/sha256/${sha256Hex(payload)}`, payload)
  }
  return files
}

export function writeLog(folder: string, log: TinyLog, size: number = log.size): void {
  for (const [path, bytes] of logFiles(log, size)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
  }
}

/** By tile level. */
function nodesOf(entries: readonly Uint8Array[]): Hash[][] {
  const nodes: Hash[][] = []
  const tree = new GrowingTree()
  for (const entry of entries) {
    tree.append(hashLeaf(entry), (level, _, hash) => {
      if (level % 8 === 0) (nodes[level / 8] ??= []).push(hash)
    })
  }
  return nodes
}

function isLarge(entry: Uint8Array): boolean {
  try {
    return parseLeaf(entry).payload.inline === undefined
  } catch {
    return false
  }
}
