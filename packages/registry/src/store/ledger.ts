/**
 * The ledger remembers what was published, for ever: the trust roots, each manifest's exact envelope bytes, which manifest
 * a (model, version) is bound to, and which blobs the registry has itself proven.
 *
 *     acme/mnist  1.2.0  ->  manifest 6b86b273…  ->  blobs 5891b5b5… (407080 bytes), e258d248… (1829 bytes)
 */

/** One published manifest. `envelope` is what `formatEnvelope` wrote: those bytes and no others are served. */
export interface Publication {
  /** Manifest digest: sha256 (hex) of the signed payload. */
  readonly digest: string
  readonly model: string
  readonly version: string
  /** The signer's own time, `YYYY-MM-DDTHH:MM:SSZ`. */
  readonly createdAt: string
  readonly envelope: Uint8Array
}

/** A publication that asks to be committed, with the digests of the blobs it needs. */
export interface Candidate extends Publication {
  readonly blobs: readonly string[]
}

/**
 * What became of a candidate: who holds (model, version) after the commit, and whether this candidate put it there; or which
 * of its blobs are not recorded.
 */
export type Binding =
  | { readonly holder: Publication; readonly created: boolean }
  | { readonly missing: readonly string[] }

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
  readonly envelope: Uint8Array
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

/**
 * Every write is durable once its promise resolves (a power cut later loses nothing), and nothing that was written changes
 * afterwards: published rows can be neither updated nor deleted. A write that rejects has an unknown outcome: the caller
 * must stop writing and the process must end; opening the ledger again shows what is true.
 */
export interface Ledger {
  /** In order of their version. */
  trustRoots(): Promise<readonly TrustRecord[]>
  /** Keeps the next trust root. The same one again changes nothing; another one of that version rejects. */
  addTrustRoot(root: TrustRecord): Promise<void>

  /**
   * One transaction for the whole batch. The first candidate for a (model, version) is bound to it for ever, whatever comes
   * later in this batch or any other; a candidate with a blob that is not recorded is not bound. Answers in order.
   */
  publish(batch: readonly Candidate[]): Promise<readonly Binding[]>
  /** One transaction. A digest that is recorded already keeps its first facts. */
  recordBlobs(batch: readonly BlobFacts[]): Promise<readonly BlobFacts[]>
  /**
   * Forgets blobs recorded before `before` (ms since epoch) that no publication needs, and answers their digests: only then
   * may their bytes be deleted. Atomic with `publish`: a blob that a publication was bound with is never among them.
   */
  forgetBlobs(before: number): Promise<readonly string[]>

  /** `null` when there is none. */
  byVersion(model: string, version: string): Promise<Publication | null>
  byDigest(digest: string): Promise<Publication | null>
  /** The facts of those that are recorded; the others are absent from the map. */
  blobs(digests: readonly string[]): Promise<ReadonlyMap<string, BlobFacts>>
  /** Models whose name contains `query`, by name. */
  models(query: string, page: Page): Promise<readonly ModelSummary[]>
  /** In order of publication; `page.after` is a version. Without envelopes. */
  versions(model: string, page: Page): Promise<readonly Omit<Publication, "envelope">[]>

  close(): Promise<void>
}
