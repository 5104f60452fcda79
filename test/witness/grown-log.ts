/** A log in memory for witnesses to watch: it grows, signs, proves, and forks on demand. */
import { generateKeyPairSync, sign } from "node:crypto"
import {
  consistencyProof,
  ed25519Type,
  formatAddCheckpoint,
  formatCheckpoint,
  formatNote,
  formatVkey,
  GrowingTree,
  type Hash,
  hashLeaf,
  type NoteSigner,
  signNote,
} from "@weighlock/tlog"

export const origin = "models.acme.example/log"

export function logSigner(name: string = origin): NoteSigner {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519")
  const point = publicKey.export({ format: "der", type: "spki" }).subarray(12)
  return { vkey: formatVkey(name, point, ed25519Type), sign: (message) => sign(null, message, privateKey) }
}

export class GrownLog {
  readonly signer: NoteSigner
  readonly origin: string
  readonly #tree: GrowingTree
  readonly #nodes: Map<string, Hash>
  readonly #roots: Hash[]

  constructor(signer: NoteSigner = logSigner(), name: string = origin, from?: GrownLog) {
    this.signer = signer
    this.origin = name
    this.#tree = from ? from.#tree.copy() : new GrowingTree()
    this.#nodes = new Map(from ? from.#nodes : [])
    this.#roots = from ? [...from.#roots] : [this.#tree.root()]
  }

  get size(): number {
    return this.#roots.length - 1
  }

  grow(entries: number, kind: string = "entry"): this {
    for (let count = 0; count < entries; count++) {
      const leaf = hashLeaf(new TextEncoder().encode(`${kind} ${this.size}`))
      this.#tree.append(leaf, (level, index, hash) => this.#nodes.set(`${level}/${index}`, hash))
      this.#roots.push(this.#tree.root())
    }
    return this
  }

  /** The same log up to here, under the same key: what a log must never do. */
  fork(): GrownLog {
    return new GrownLog(this.signer, this.origin, this)
  }

  root(size: number = this.size): Hash {
    const root = this.#roots[size]
    if (root === undefined) throw new RangeError(`no tree of ${size}`)
    return root
  }

  async note(size: number = this.size): Promise<string> {
    return formatNote(
      await signNote(formatCheckpoint({ origin: this.origin, size, root: this.root(size) }), [this.signer]),
    )
  }

  proof(from: number, to: number = this.size): Hash[] {
    return consistencyProof(from, to, (level, index) => {
      const hash = level === 0 && index < 0 ? undefined : this.#nodes.get(`${level}/${index}`)
      if (hash === undefined) throw new RangeError(`no node ${level}/${index}`)
      return hash
    })
  }

  /** An honest add-checkpoint request. */
  async request(from: number, to: number = this.size): Promise<string> {
    const proof = from === 0 || from === to ? [] : this.proof(from, to)
    return formatAddCheckpoint({ oldSize: from, proof, checkpoint: await this.note(to) })
  }
}
