export { type FolderOptions, type FoundFile, hashFolder, listFiles } from "./hash-folder.ts"
export { type FileDigests, type HashOptions, HashPool } from "./hash-pool.ts"
export {
  derivePublicKey,
  formatPrivateKey,
  generateEd25519,
  isEncryptedPem,
  parsePrivateKey,
  readKeyFile,
  signerFor,
  writeKeyFile,
} from "./private-key.ts"
