/** The caps of format v1 (docs/format.md): what is larger is refused before it is looked at. Sizes in bytes. */
export const limits = {
  payload: 16_777_216,
  files: 10_000,
  /** Paths that a manifest names as left out. */
  excluded: 10_000,
  signatures: 16,
  /** Files, or pieces of files, in a statement of another tool. */
  omsItems: 100_000,
  envelope: 25_165_824,
  bundle: 25_165_824,
  record: 1_048_576,
  trustRoot: 1_048_576,
  /** Keys in a trust root: each is checked for weakness, which takes as long as a signature. */
  keys: 1000,
  /** Verifier keys of the log in a trust root. */
  logKeys: 16,
  checkpoint: 65_536,
  metadata: 16_384,
  path: 512,
  /** A log entry. */
  leaf: 16_384,
  /** A payload that stands in its log entry; a larger one is named there by its digest. */
  inline: 8192,
  /** Text of an inclusion proof, which holds a checkpoint. */
  proof: 73_728,
  /** Part digests in one file. */
  partCount: 8192,
  /** 8 MiB: files above it carry part digests; it is also the smallest part size. */
  part: 8_388_608,
} as const
