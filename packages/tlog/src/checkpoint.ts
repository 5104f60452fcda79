/**
 * A checkpoint names one state of the log: who keeps it, how many entries, the root hash (c2sp.org/tlog-checkpoint).
 *
 *     models.acme.example/log
 *     0
 *     47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
 */
import { sha256 } from "@noble/hashes/sha2.js"

export interface Checkpoint {
  readonly origin: string
  readonly size: number
  /** 32 bytes. */
  readonly root: Uint8Array
}

/** What a client has seen of a log it meets for the first time: nothing. The root of an empty tree is SHA-256("") (RFC 6962 §2.1). */
export function emptyCheckpoint(origin: string): Checkpoint {
  return { origin, size: 0, root: sha256(new Uint8Array(0)) }
}
