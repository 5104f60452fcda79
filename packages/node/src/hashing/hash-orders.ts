/** What a `FileHasher` asks of its threads. `stream` names a hash that is under way. */

export type HashOrder = BlockOrder | ReadOrder

/** `length` bytes of shared memory are next; `end` asks for the digest. */
export interface BlockOrder {
  readonly kind: "block"
  readonly stream: number
  readonly memory: SharedArrayBuffer
  readonly offset: number
  readonly length: number
  readonly end: boolean
}

/**
 * `length` bytes of an open file, from `start`, are next. `keep`: how many bytes in all are to stay in memory. `part`: they
 * belong to a part, and may be its last.
 */
export interface ReadOrder {
  readonly kind: "read"
  readonly stream: number
  readonly fd: number
  readonly start: number
  readonly length: number
  readonly keep: number | null
  readonly part: "none" | "go on" | "end"
  readonly then: "go on" | "end" | "forget"
}

export interface HashReply {
  /** SHA-256, hex: of the whole stream at its end, or else of the part that ended. */
  readonly digest?: string
  readonly bytes?: Uint8Array<ArrayBuffer>
  /** The file ends before the last byte that was asked for. */
  readonly short?: true
}
