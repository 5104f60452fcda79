/** The Weighlock registry server, and its parts for those who test a backend or build another server around them. */
export type { RegistryConfig, Timeouts } from "./config.ts"
export { type ProblemDetails, RegistryError, type RegistryErrorCode, httpStatus, registryErrorCodes } from "./errors.ts"
export { type Grant, type GrantMaker, RegistryGrants } from "./grants.ts"
export { productName, productVersion } from "./version.ts"
export { Sequencer, type SequencerOptions } from "./sequencer.ts"
export { type RunningRegistry, startRegistry } from "./server.ts"
export { type BlobStore, type ByteRange, type Part, type Upload, partCount, partOf, uploadId } from "./store/blobs.ts"
export { FolderBlobStore } from "./store/blobs-fs.ts"
export type {
  Binding,
  BlobFacts,
  Candidate,
  Ledger,
  ModelSummary,
  Page,
  Publication,
  TrustRecord,
} from "./store/ledger.ts"
export { SqliteLedger } from "./store/ledger-sqlite.ts"
export { type WriterLock, lockWriter } from "./store/writer-lock.ts"
