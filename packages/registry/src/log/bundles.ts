/**
 * Bundles: an envelope, the log entry that holds it, and the proof that the entry is in the log.
 *
 *     {"entry":"eyJhdCI6…","envelope":{…},"mediaType":"application/vnd.weighlock.bundle.v1+json",
 *      "proof":"c2sp.org/tlog-proof@v1\nindex 7\n…"}
 *
 * The envelope is made from the leaf and its payload: what was signed is kept in one place only.
 */
import { type Envelope, envelopeOf, formatBundle, parseLeaf } from "@weighlock/manifest"
import { equalHashes, formatProof, hashLeaf } from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import type { Ledger, LogEntry } from "../store/ledger.ts"
import type { Log } from "./log.ts"

/** What the row that an entry was found by says of it. */
export interface EntryNames {
  /** Of its payload. */
  readonly digest: string
  readonly model?: string
  readonly subject: string
}

export class Bundles {
  readonly #log: Log
  readonly #ledger: Pick<Ledger, "payload">

  constructor(log: Log, ledger: Pick<Ledger, "payload">) {
    this.#log = log
    this.#ledger = ledger
  }

  /** Of an entry that this process has just made. */
  async fresh(index: number, entry: Uint8Array, envelope: Envelope): Promise<Uint8Array> {
    return formatBundle({ envelope, entry, proof: await this.#proof(index) })
  }

  /**
   * Of an entry as the ledger has it, found under these names. SQLite does not notice flipped bits: what is served is first
   * shown to be what the tree holds, and to be about what was asked for. STORE_FAILED when it is not.
   */
  async stored(entry: LogEntry, names: EntryNames): Promise<Uint8Array> {
    if (entry.index >= this.#log.served.newest.size) await this.#log.settled()
    await this.requireLogged(entry)
    const envelope = await this.#envelope(entry, names)
    return formatBundle({ envelope, entry: entry.leaf, proof: await this.#proof(entry.index) })
  }

  async #envelope({ index, leaf: bytes }: LogEntry, { digest, model, subject }: EntryNames): Promise<Envelope> {
    try {
      const leaf = parseLeaf(bytes)
      const payload = leaf.payload.inline ? null : await this.#ledger.payload(leaf.payload.sha256)
      const found = leaf.payload.sha256 === digest && leaf.model === model && leaf.subject === subject
      if (found) return envelopeOf(leaf, payload)
    } catch (cause) {
      throw damaged(index, cause)
    }
    throw damaged(index)
  }

  /** STORE_FAILED unless the leaf is the one that the tree commits to. */
  async requireLogged({ index, leaf }: LogEntry): Promise<void> {
    if (!equalHashes(hashLeaf(leaf), await this.#log.leafHash(index))) throw damaged(index)
  }

  async #proof(index: number): Promise<string> {
    const { size, note } = this.#log.served.covering(index)
    return formatProof({ index, hashes: await this.#log.inclusion(index, size), checkpoint: note })
  }
}

function damaged(index: number, cause?: unknown): RegistryError {
  return new RegistryError("STORE_FAILED", `entry ${index} in the ledger is not the one that was logged`, {
    cause,
    hint: "stop the registry; `weighlock registry fsck` says what is wrong",
  })
}
