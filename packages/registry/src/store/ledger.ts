/**
 * The ledger remembers what was published, for ever: the entries of the log with the tree over them, what each bound, and
 * which blobs the registry has itself proven.
 *
 *     entry 7: acme/mnist 1.2.0  ->  manifest 6b86b273…  ->  blobs 5891b5b5… (407080 bytes), e258d248… (1829 bytes)
 */

/** What the log is at: `size` entries under `root`; whoever opens the ledger last holds the highest `epoch`. */
export interface LogHead {
  readonly size: number
  /** 32 bytes. */
  readonly root: Uint8Array
  readonly epoch: number
}

/** One entry as it is kept. `hash` is what RFC 6962 makes of `leaf`. */
export interface LogEntry {
  readonly index: number
  readonly leaf: Uint8Array
  readonly hash: Uint8Array
}

/** 256 hashes: node (8·level, 256·n) of the tree and its right neighbours. */
export interface FullTile {
  readonly level: number
  readonly n: number
  readonly hashes: Uint8Array
}

/** An entry to append, and the rows that follow from it. */
export interface NewEntry extends LogEntry {
  /** Of an entry about a model: its name and the entry's number among those of that model. */
  readonly place?: { readonly model: string; readonly seq: number }
  /** A payload too large for the leaf. */
  readonly payload?: { readonly sha256: string; readonly bytes: Uint8Array }
  readonly manifest?: NewManifest
  readonly trustRoot?: { readonly version: number; readonly digest: string }
}

export interface NewManifest {
  /** Manifest digest: sha256 (hex) of the signed payload. */
  readonly digest: string
  readonly model: string
  readonly version: string
  /** The signer's own time, `YYYY-MM-DDTHH:MM:SSZ`. */
  readonly createdAt: string
  /** Digests of the blobs it needs; all are recorded. */
  readonly blobs: readonly string[]
}

/** All that one commit changes: from one head to the next. */
export interface LogCommit {
  readonly from: LogHead
  readonly to: { readonly size: number; readonly root: Uint8Array }
  readonly entries: readonly NewEntry[]
  readonly tiles: readonly FullTile[]
  /** The signed checkpoint of `to`; `null` only on the way to one, while a ledger is rebuilt. */
  readonly note: string | null
}

/** What a publication asks before it can be planned. */
export interface Wanted {
  readonly model: string
  readonly version: string
  readonly blobs: readonly string[]
}

export interface Facts {
  /** Who holds (model, version). */
  readonly holder: { readonly index: number; readonly digest: string } | null
  /** Those blobs that are not recorded. */
  readonly missing: readonly string[]
  /** The model's newest entry. */
  readonly newest: { readonly seq: number; readonly hash: Uint8Array } | null
}

/** A published manifest with the entry that published it. */
export interface Publication {
  readonly digest: string
  readonly model: string
  readonly version: string
  readonly createdAt: string
  readonly entry: LogEntry
}

export interface VersionSummary {
  readonly digest: string
  readonly version: string
  readonly createdAt: string
}

/** What the registry computed itself over the bytes it keeps. `parts` exists when size > 8 MiB. */
export interface BlobFacts {
  readonly sha256: string
  readonly size: number
  readonly parts?: { readonly size: number; readonly digests: readonly string[] }
}

export interface TrustRecord {
  readonly version: number
  /** sha256 (hex) of the payload: the pin. */
  readonly digest: string
  readonly entry: LogEntry
}

/** A page: at most `limit` items after the one called `after` (exclusive), or from the start. */
export interface Page {
  readonly after?: string
  readonly limit: number
}

export interface ModelSummary {
  readonly model: string
  readonly versions: number
}

/** One witness's newest signature of a checkpoint, as a signature line of the note. */
export interface Cosignature {
  readonly vkey: string
  readonly line: string
}

/** The log as it is kept. */
export interface LogStore {
  /** `null` before the first commit of all. */
  head(): Promise<LogHead | null>
  /** Raises the epoch: whoever held a lower one can commit no more. Before the first commit: size 0. */
  fence(): Promise<LogHead>
  /**
   * One transaction: entries, tiles, every row that follows from them, the checkpoint, and the head by compare-and-swap.
   * CONFLICT when the head is not `from` any more: somebody else took over, and this process must end.
   */
  commit(commit: LogCommit): Promise<void>
  /** In order, from `start` up to but without `end`; all of them, or it rejects. */
  entries(start: number, end: number): Promise<readonly LogEntry[]>
  /** `null` unless the tile is full. */
  tile(level: number, n: number): Promise<Uint8Array | null>
  /** The note signed for a size; `null` when none was. */
  checkpoint(size: number): Promise<string | null>
  /** The smallest size of which a checkpoint is kept. */
  firstCheckpoint(): Promise<number | null>
  payload(sha256: string): Promise<Uint8Array | null>
  /** Entries of one model with seq > `after`, in order. */
  history(model: string, after: number, limit: number): Promise<readonly LogEntry[]>
  /** Keeps one signature a witness, the last one told, of a checkpoint that was committed. */
  addCosignatures(size: number, cosignatures: readonly Cosignature[]): Promise<void>
  /**
   * Those that nobody will be shown again: of checkpoints smaller than the newest that met the quorum, and of larger ones but
   * for the newest hundred.
   */
  forgetCosignatures(witnessed: number): Promise<void>
  cosignatures(size: number): Promise<readonly Cosignature[]>
  /** Sizes of which a cosignature is kept, the largest first. */
  cosignedSizes(limit: number): Promise<readonly number[]>
}

/**
 * Every write is durable once its promise resolves (a power cut later loses nothing), and nothing that was written changes
 * afterwards: published rows can be neither updated nor deleted. A write that rejects has an unknown outcome: the caller
 * must stop writing and the process must end; opening the ledger again shows what is true.
 */
export interface Ledger extends LogStore {
  /** Answers in order. What it says holds until the next commit. */
  facts(batch: readonly Wanted[]): Promise<readonly Facts[]>
  /** One transaction. A digest that is recorded already keeps its first facts. */
  recordBlobs(batch: readonly BlobFacts[]): Promise<readonly BlobFacts[]>
  /**
   * Notes digests whose bytes the store is about to get. The note ends when they are recorded; a process that is killed in
   * between leaves it. One transaction.
   */
  noteUnrecorded(digests: readonly string[]): Promise<void>
  /**
   * Forgets blobs recorded before `before` (ms since epoch) that no publication needs: they become notes. Answers the digests
   * of all notes that are older: of bytes that may be deleted unless they are recorded again by then. Never between `facts`
   * and the commit that builds on them.
   */
  forgetBlobs(before: number): Promise<readonly string[]>
  /** Their bytes are gone. A note that was made anew since `before` stays. */
  dropNotes(digests: readonly string[], before: number): Promise<void>

  /** In order of their version. */
  trustRoots(): Promise<readonly TrustRecord[]>
  /** `null` when there is none. */
  byVersion(model: string, version: string): Promise<Publication | null>
  byDigest(digest: string): Promise<Publication | null>
  /** The facts of those that are recorded; the others are absent from the map. */
  blobs(digests: readonly string[]): Promise<ReadonlyMap<string, BlobFacts>>
  /** Models whose name contains `query`, by name. */
  models(query: string, page: Page): Promise<readonly ModelSummary[]>
  /** In order of publication; `page.after` is a version. */
  versions(model: string, page: Page): Promise<readonly VersionSummary[]>

  close(): Promise<void>
}
