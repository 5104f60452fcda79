/** The Weighlock registry server, and its parts for those who test a backend or build another server around them. */
export type { RegistryConfig, Timeouts } from "./config.ts"
export { type ProblemDetails, RegistryError, type RegistryErrorCode, registryErrorCodes, statusOf } from "./errors.ts"
export { grantHeader, RegistryGrants } from "./grants.ts"
export { productName, productVersion } from "./version.ts"
export { Sequencer, type SequencerOptions } from "./sequencer.ts"
export { type RunningRegistry, startRegistry } from "./server.ts"
export {
  type BlobStore,
  type ByteRange,
  type Grant,
  type Part,
  type Upload,
  partCount,
  partOf,
  uploadId,
} from "./store/blobs.ts"
export { FolderBlobStore } from "./store/blobs-fs.ts"
export type { S3Config } from "./store/s3-place.ts"
export type {
  BlobFacts,
  Cosignature,
  Facts,
  FullTile,
  Ledger,
  LogCommit,
  LogEntry,
  LogHead,
  LogStore,
  ModelSummary,
  NewEntry,
  NewManifest,
  Page,
  Publication,
  TrustRecord,
  VersionSummary,
  Wanted,
} from "./store/ledger.ts"
export { CheckpointCopy } from "./log/checkpoint-copy.ts"
export type { BlobSource } from "./log/examine/blob-source.ts"
export { type Finding, fsckRules, type FsckRule } from "./log/examine/finding.ts"
export { fsck, type FsckOptions, type FsckReport } from "./log/fsck.ts"
export { Growth } from "./log/growth.ts"
export { Log } from "./log/log.ts"
export { openLog, type OpenedLog, type OpenLogOptions } from "./log/open-log.ts"
export { RecentBundles } from "./log/recent-bundles.ts"
export { type Before, type Candidate, type Outcome, type Plan, planPublishes } from "./log/plan.ts"
export { rebuild, type Rebuilt, type RebuildOptions } from "./log/rebuild.ts"
export type { MissingFile } from "./log/rebuilding.ts"
export type { RebuildProgress } from "./log/rebuilding.ts"
export { Served, type ServedCheckpoint, type WitnessMode } from "./log/served.ts"
export { openLogSigner } from "./log/signer.ts"
export { TreeNodes } from "./log/tree-nodes.ts"
export { FileBody } from "./store/file-body.ts"
export { SqliteLedger } from "./store/ledger-sqlite.ts"
export { type WriterLock, lockWriter } from "./store/writer-lock.ts"
export { type CosignedCheckpoint, Gathering } from "./witness/gathering.ts"
export { type CollectorOptions, type CollectorStatus, WitnessCollector } from "./witness/collector.ts"
export type { WitnessState } from "./witness/asked-witness.ts"
export type { WitnessStatus } from "./witness/seat.ts"
export { type RunningWitness, startWitness, type WitnessConfig } from "./witness/server.ts"
export { addLog, initWitness, type WatchedLog, watchedLogs } from "./witness/setup.ts"
export { Uploads } from "./uploads.ts"
