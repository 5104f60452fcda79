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
  CodedError,
  type CodedErrorOptions,
  ManifestError,
  type ManifestErrorCode,
  manifestErrorCodes,
} from "./errors.ts"
export { admitPublish, judgePublish, type PublishRequest } from "./history.ts"
export { canonicalJson, type JsonObject, type JsonValue, parseCanonical, parseJson } from "./json.ts"
export { enrolKey, enrolSpki, formatPem, type KeyType, type PublicKey, publicKeyPem, verifySignature } from "./keys.ts"
export { limits } from "./limits.ts"
export {
  compareVersions,
  isAlias,
  isModelName,
  isOrigin,
  isVersion,
  parseModelName,
  parseOrigin,
  parseVersion,
} from "./names.ts"
export { foldPath, ignoredNames, parsePath, requireDistinctPaths } from "./paths.ts"
export {
  type FixedReference,
  formatReference,
  parseFixedReference,
  parseReference,
  type Reference,
  type Selector,
} from "./reference.ts"
export { parseParts, partLength, partSizeFor, type Resource } from "./resource.ts"
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
export { openTrustChain, type Pin, rootSignatures, type TrustChain } from "./trust-chain.ts"
export { type FirstTrustRoot, makeFirstTrustRoot } from "./trust-make.ts"
export { openPublished, type SignedManifest, verify, type VerifiedManifest, type VerifyRequest } from "./verify.ts"
