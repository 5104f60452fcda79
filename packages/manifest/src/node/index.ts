export type { Certificate } from "./certificate.ts"
export { type CertifiedSigner, openCertificateChain, parseRoots } from "./certificate-chain.ts"
export { type FolderOptions, hashFiles, type HashFilesOptions, hashFolder } from "./hash-folder.ts"
export { modelHasher } from "./model-hasher.ts"
export {
  type FoundFile,
  type LeaveOutRules,
  type LeftOut,
  listFiles,
  listFolder,
  type Listing,
  type ListOptions,
  pullMarker,
  pullStaging,
} from "./list-folder.ts"
export { openOms, type OmsSigner, type OmsTrust, type SignedOms } from "./open-oms.ts"
export { verifyOmsFolder, type VerifiedOms } from "./oms-folder.ts"
export { type OmsKey, type OmsKeyType, parseOmsKey } from "./oms-key.ts"
export {
  derivePublicKey,
  formatPrivateKey,
  generateEd25519,
  isEncryptedPem,
  parsePrivateKey,
  readKeyFile,
  signerFor,
} from "./private-key.ts"
