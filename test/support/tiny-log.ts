/**
 * A log in memory: what a registry does between a signed envelope and a bundle, without a registry. It logs whatever it is
 * given, so that tests can see what readers refuse.
 *
 *     const log = new TinyLog(chain)
 *     const bundle = log.bundle(log.publish(envelope))
 */
import { type KeyObject, sign } from "node:crypto"
import {
  type Bundle,
  type Envelope,
  firstEntries,
  formatLeaf,
  type Leaf,
  ManifestError,
  parseStatement,
  payloadOf,
  type TrustChain,
} from "@weighlock/manifest"
import { generateEd25519, signerFor } from "@weighlock/manifest/node"
import {
  type Checkpoint,
  consistencyProof,
  formatCheckpoint,
  formatNote,
  formatProof,
  formatVkey,
  type Hash,
  hashChildren,
  hashLeaf,
  inclusionProof,
  joinCosignature,
  cosignedMessage,
  type NodeReader,
  parseVkey,
  treeRoot,
} from "@weighlock/tlog"

/** An Ed25519 key and the vkey under which it signs notes, or cosigns them. */
export interface NoteKey {
  readonly vkey: string
  readonly key: KeyObject
}

export function noteKey(name: string, key: KeyObject = generateEd25519(), type = 0x01): NoteKey {
  return { vkey: formatVkey(name, signerFor(key).publicKey.bytes, type), key }
}

/** When each entry is logged, unless the test says otherwise. */
export const loggedAt = Date.parse("2026-11-23T12:00:00Z") + 123

export class TinyLog {
  readonly origin: string
  readonly entries: Uint8Array[] = []
  readonly payloads: Uint8Array[] = []
  readonly #leaves: Hash[] = []
  readonly #heads = new Map<string, { readonly seq: number; readonly leaf: Hash }>()
  #keys: readonly NoteKey[]
  readonly #witnesses: readonly NoteKey[]

  /** Begins with the genesis and the chain's first root. */
  constructor(trustChain: TrustChain, key: NoteKey, witnesses: readonly NoteKey[] = []) {
    this.origin = trustChain.current.log.origin
    this.#keys = [key]
    this.#witnesses = witnesses
    for (const { entry, payload } of firstEntries(trustChain, key.vkey, loggedAt)) this.append(entry, payload)
  }

  get size(): number {
    return this.entries.length
  }

  /** Signs checkpoints with other keys from now on. */
  signWith(...keys: NoteKey[]): this {
    this.#keys = keys
    return this
  }

  /** Forgets everything, the genesis too. */
  clear(): this {
    this.entries.length = this.payloads.length = this.#leaves.length = 0
    return this
  }

  /** Returns the index. */
  append(entry: Uint8Array, payload: Uint8Array): number {
    this.entries.push(entry)
    this.payloads.push(payload)
    return this.#leaves.push(hashLeaf(entry)) - 1
  }

  /** Under the names that the payload gives, or the test: nothing is judged. */
  publish(envelope: Envelope, changes: Partial<Leaf> = {}): number {
    const leaf = this.leafOf(envelope, changes)
    const entry = formatLeaf(leaf)
    if (leaf.model !== undefined) this.#heads.set(leaf.model, { seq: leaf.seq ?? 0, leaf: hashLeaf(entry) })
    return this.append(entry, envelope.payload)
  }

  /** The leaf that `publish` would log. */
  leafOf({ payload, payloadType, signatures }: Envelope, changes: Partial<Leaf> = {}): Leaf {
    const { model, version } = namesIn(payload)
    const head = this.#heads.get(model)
    return {
      op: "publish",
      at: loggedAt,
      model,
      seq: head === undefined ? 0 : head.seq + 1,
      prev: head === undefined ? new Uint8Array(0) : head.leaf,
      subject: version,
      payload: payloadOf(payloadType, payload),
      signatures,
      ...changes,
    }
  }

  /** The note of the state with `size` entries; cosigned by its witnesses at `time` (POSIX seconds) if that is given. */
  note(size: number = this.size, time?: number): string {
    const text = formatCheckpoint(this.checkpoint(size))
    const signed = this.#keys.map(({ vkey, key }) => line(vkey, sign(null, Buffer.from(text), key)))
    const seen = this.#witnesses.map((witness) => cosigned(witness, text, time ?? 0))
    return formatNote({ text, signatures: [...signed, ...(time === undefined ? [] : seen)] })
  }

  checkpoint(size: number = this.size): Checkpoint {
    return { origin: this.origin, size, root: treeRoot(size, this.#read) }
  }

  inclusion(index: number, size: number = this.size): Hash[] {
    return inclusionProof(index, size, this.#read)
  }

  consistency(from: number, to: number = this.size): Hash[] {
    return consistencyProof(Math.min(from, to), Math.max(from, to), this.#read)
  }

  /** The text of c2sp.org/tlog-proof. */
  proof(index: number, size: number = this.size, time?: number): string {
    return formatProof({ index, hashes: this.inclusion(index, size), checkpoint: this.note(size, time) })
  }

  bundle(envelope: Envelope, index: number, size: number = this.size, time?: number): Bundle {
    const entry = this.entries[index] ?? new Uint8Array(0)
    return { envelope, entry, proof: this.proof(index, size, time) }
  }

  readonly #read: NodeReader = (level, index) => {
    if (level === 0) return this.#leaves[index] ?? new Uint8Array(32)
    return hashChildren(this.#read(level - 1, 2 * index), this.#read(level - 1, 2 * index + 1))
  }
}

function cosigned({ vkey, key }: NoteKey, text: string, time: number): ReturnType<typeof line> {
  const { type, name } = parsed(vkey)
  return line(vkey, joinCosignature({ time, signature: sign(null, cosignedMessage(type, name, time, text), key) }))
}

function line(vkey: string, bytes: Uint8Array): { name: string; id: string; bytes: Uint8Array } {
  const { name, id } = parsed(vkey)
  return { name, id, bytes }
}

function parsed(vkey: string): NonNullable<ReturnType<typeof parseVkey>> {
  const key = parseVkey(vkey)
  if (key === null) throw new TypeError(vkey)
  return key
}

function namesIn(payload: Uint8Array): { model: string; version: string } {
  try {
    return parseStatement(payload)
  } catch (error) {
    if (error instanceof ManifestError) return { model: "acme/mnist", version: "1.2.0" }
    throw error
  }
}
