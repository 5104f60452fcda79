export { audit } from "./audit/audit.ts"
export { type AuditCheck, auditChecks, type Finding } from "./audit/finding.ts"
export { auditExit, type AuditOptions, type AuditReport } from "./audit/report.ts"
export { sourceAddress, type SourceAddress } from "./audit/source.ts"
export { Cache, type CacheEntry } from "./cache.ts"
export {
  listModels,
  listVersions,
  type ListedModel,
  type ListedVersion,
  registryInfo,
  type RegistryInfo,
  showModel,
} from "./catalogue.ts"
export { ClientError, type ClientErrorCode, clientErrorCodes } from "./errors.ts"
export { type Exported, exportLog } from "./export.ts"
export { untilWitnessed } from "./witnessed.ts"
export { fetchFiles, fetchModel, readModelFolder, type VerifiedFile, type VerifiedFiles } from "./fetch-model.ts"
export { type HistoryEntry, type ModelHistory, modelHistory } from "./history.ts"
export { type LogEntry, logEntry, logHead, logPayload, type SeenHead } from "./log.ts"
export { type LogHead } from "./log-head.ts"
export { type Alert, type AlertCode, alertCodes } from "./monitor/alert.ts"
export { monitor, monitorOnce } from "./monitor/monitor.ts"
export { type MonitorOptions, type MonitorReport } from "./monitor/options.ts"
export { publishModel, type Published, type PublishOptions, receiptBytes } from "./publish-model.ts"
export { pullModel, type Pulled } from "./pull-model.ts"
export { type Resolved } from "./resolve.ts"
export { defaultState } from "./seen.ts"
export { type ClientOptions, defaultCache, type Progress, readTrust, registryUrl } from "./session.ts"
export {
  type LogProofRequest,
  type ReceiptRequest,
  type VerifiedLogProof,
  type VerifiedReceipt,
  verifyLogProof,
  verifyReceipt,
} from "./verify-receipt.ts"
export type { View } from "./view.ts"
