/**
 * What a bundle of the live API proves: an entry, in a state of the log that is one history with the audited one. A registry
 * that keeps a second history for some of its readers is caught by what it has signed for them.
 */
import {
  type Bundle,
  envelopeOf,
  formatEnvelope,
  type Leaf,
  ManifestError,
  parseLeaf,
  sha256Hex,
  type TrustChain,
} from "@weighlock/manifest"
import { encodeBase64, type Hash, hashLeaf, parseProof, TlogError, verifyInclusion } from "@weighlock/tlog"
import { proveGrowth } from "../growth.ts"
import { type LogHead, openHead } from "../log-head.ts"
import type { LogReader } from "../log-reader.ts"
import type { Seen } from "../seen.ts"
import { requireQuorum } from "../witnessed.ts"

export interface LiveBundle {
  readonly index: number
  readonly leaf: Hash
  /** Manifest digest, hex. */
  readonly digest: string
  /** What the entry published, such as `acme/mnist@1.2.0`; `null` for another act. */
  readonly published: string | null
  /** What its proof leads to: signed by the log. */
  readonly head: LogHead
}

/** `null` for what proves nothing, or is not the envelope that was logged. */
export function openLive(bundle: Bundle, history: OneHistory): LiveBundle | null {
  const { entry, proof } = bundle
  if (entry === undefined || proof === undefined) return null
  try {
    const { index, hashes, checkpoint, extra } = parseProof(proof)
    const head = history.open(checkpoint)
    const { size, root } = head.checkpoint
    const hash = hashLeaf(entry)
    verifyInclusion({ leaf: hash, index, size, root, proof: hashes })
    const leaf = parseLeaf(entry)
    if (extra !== undefined || !isOfEntry(bundle, leaf)) return null
    const published = leaf.op === "publish" ? `${leaf.model}@${leaf.subject}` : null
    return { index, leaf: hash, digest: sha256Hex(bundle.envelope.payload), published, head }
  } catch (error) {
    if (error instanceof ManifestError || error instanceof TlogError) return null
    throw error
  }
}

/** Payload and signatures, exactly. */
function isOfEntry({ envelope }: Bundle, leaf: Leaf): boolean {
  const logged = envelopeOf(leaf, leaf.payload.inline === undefined ? envelope.payload : null)
  return Buffer.from(formatEnvelope(logged)).equals(formatEnvelope(envelope))
}

export interface OneHistoryOptions {
  readonly trustChain: TrustChain
  readonly seen: Seen
  readonly log: LogReader
}

/** Proves of each state of the log that is shown, once, that it is one history with the audited one. */
export class OneHistory {
  readonly #view: OneHistoryOptions
  readonly #audited: LogHead
  /** By size and root; the oldest go first. */
  readonly #asked = new Map<string, Promise<unknown>>()
  readonly #most: number
  #last: LogHead | null = null

  constructor(view: OneHistoryOptions, audited: LogHead, most = 1000) {
    this.#view = view
    this.#audited = audited
    this.#most = most
  }

  /** Signed by the log, else LOG_INVALID. Most bundles of a moment lead to the same note. */
  open(note: string): LogHead {
    if (this.#last?.note !== note) this.#last = openHead(Buffer.from(note), this.#view.trustChain)
    return this.#last
  }

  /** Throws LOG_INVALID with evidence, UNAVAILABLE; NOT_YET_WITNESSED, unless the audited state is not either. */
  async require(shown: LogHead): Promise<void> {
    const { size, root } = shown.checkpoint
    const key = `${size} ${encodeBase64(root)}`
    const asked = this.#asked.get(key) ?? proveGrowth(this.#view, this.#audited, shown)
    this.#asked.set(key, asked)
    asked.catch(() => this.#asked.delete(key)) // whoever asks next is told anew
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size <= this.#most) break
      this.#asked.delete(oldest)
    }
    await asked
    if (this.#audited.quorum) requireQuorum(shown)
  }
}
