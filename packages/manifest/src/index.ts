export { admitPublish, parsePublish, type PublishRequest } from "./admit.ts"
export { requireUnexpired } from "./authority.ts"
export { type Bundle, bundleMediaType, formatBundle, parseBundle } from "./bundle.ts"
export {
  compareUtf8,
  decodeBase64,
  decodeHex,
  decodeUtf8,
  encodeBase64,
  encodeHex,
  encodeUtf8,
  isSha256Hex,
  sha256Hex,
} from "./encoding.ts"
export { type EntryContent, type OpenedEntry, openEntry } from "./entry.ts"
export {
  checkSignatures,
  type Envelope,
  type EnvelopeSignature,
  formatEnvelope,
  parseEnvelope,
  preAuthEncoding,
  signEnvelope,
  type Signer,
} from "./envelope.ts"
export {
  type AnsweredCode,
  type ClaimableCode,
  type CodesOf,
  type ErrorCode,
  type ErrorRow,
  errorRow,
  errorTable,
  isClaimable,
  isErrorCode,
} from "./error-table.ts"
export {
  CodedError,
  type CodedErrorOptions,
  ManifestError,
  type ManifestErrorCode,
  manifestErrorCodes,
} from "./errors.ts"
export { formatGenesis, type Genesis, genesisPayloadType, parseGenesis } from "./genesis.ts"
export { applyEntry, type Growing, type History, judgePublish, type ModelHead, trustAt } from "./history.ts"
export { requireFresh } from "./freshness.ts"
export { canonicalJson, type JsonObject, type JsonValue, parseCanonical, parseJson } from "./json.ts"
export { enrolKey, enrolSpki, formatPem, type KeyType, type PublicKey, publicKeyPem, verifySignature } from "./keys.ts"
export {
  envelopeOf,
  formatLeaf,
  isInline,
  type Leaf,
  type LeafOp,
  leafOps,
  type LeafPayload,
  parseLeaf,
  payloadOf,
} from "./leaf.ts"
export { limits } from "./limits.ts"
export { checkpointOf, type LoggedEntry, openProof, trustedLog, verifyGenesis } from "./log-proof.ts"
export {
  compareVersions,
  isAlias,
  isModelName,
  isOrigin,
  isVersion,
  parseModelName,
  parseOrigin,
  parseVersion,
  versionPattern,
} from "./names.ts"
export { type AdmittedPublish, firstEntries, type NextEntry, nextPublish } from "./next-entry.ts"
export { foldPath, ignoredNames, parsePath, requireDistinctPaths } from "./paths.ts"
export {
  type FixedReference,
  formatReference,
  parseFixedReference,
  parseReference,
  type Reference,
  type Selector,
} from "./reference.ts"
export { DraftHistory, ReplayedHistory } from "./replay.ts"
export { parseParts, partLength, partSizeFor, type Resource } from "./resource.ts"
export { type AuditRule, auditRules, HistoryError } from "./rules.ts"
export { exportSigstore, importSigstore, isSigstoreBundle } from "./sigstore.ts"
export { verifyEd25519WithNoble, verifyEd25519WithNode } from "./signature.ts"
export {
  type Draft,
  makeStatement,
  type Manifest,
  type ModelFormat,
  modelFormats,
  parseFormat,
  parseStatement,
  statementPayloadType,
} from "./statement.ts"
export { formatTime, parseTime } from "./time.ts"
export {
  isPattern,
  namespaceOf,
  type Namespace,
  parseLabel,
  parseTrustRoot,
  patternMatches,
  type Role,
  type TrustedKey,
  type TrustRoot,
  trustRootPayloadType,
} from "./trust.ts"
export { type OmsBundle, type OmsMaterial, parseOmsBundle } from "./oms-bundle.ts"
export { hashSizes, type OmsHash } from "./oms-hash.ts"
export { type OmsFile, omsPayloadType, type OmsPiece, type OmsStatement, parseOmsStatement } from "./oms-statement.ts"
export { openTrustChain, type Pin, publicKeys, rootSignatures, type TrustChain } from "./trust-chain.ts"
export { type FirstTrustRoot, makeFirstTrustRoot } from "./trust-make.ts"
export type { Verifiers } from "./verifiers.ts"
export { openPublished, type SignedManifest, verify, type VerifiedManifest, type VerifyRequest } from "./verify.ts"
