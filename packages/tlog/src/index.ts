export { advance, type Advanced, AdvanceError, type AdvanceRequest, type Evidence, type Seen } from "./advance.ts"
export { type Checkpoint, emptyCheckpoint, formatCheckpoint, parseCheckpoint, parseSize } from "./checkpoint.ts"
export { cutTile, ForkError, type LogSource, proveConsistency, proveInclusion, readEntry, readNodes } from "./client.ts"
export { cosignedMessage, joinCosignature, splitCosignature, type TimedSignature } from "./cosignature.ts"
export { type Damage, DamageError } from "./damage.ts"
export {
  ed25519Fault,
  ed25519Spki,
  ed25519SpkiPrefix,
  verifyEd25519,
  verifyEd25519WithNoble,
  verifyEd25519WithNode,
} from "./ed25519.ts"
export { decodeBase64, decodeHex, decodeUtf8, encodeBase64, encodeHex, encodeUtf8 } from "./encoding.ts"
export { formatEntryBundle, maximumEntryBundle, parseEntryBundle } from "./entry-bundle.ts"
export { TlogError, type TlogErrorCode, tlogErrorCodes } from "./errors.ts"
export { GrowingTree, type NodeCompleted } from "./growing-tree.ts"
export { emptyRoot, equalHashes, type Hash, hashChildren, hashLeaf } from "./hash.ts"
export {
  type Consistency,
  consistencyNodes,
  consistencyProof,
  type Inclusion,
  inclusionNodes,
  inclusionProof,
  type NodeId,
  type NodeReader,
  rootNodes,
  type TreeHead,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts"
export { canVerifyMldsa44, loadMldsa44, verifyMldsa44, verifyMldsa44WithNoble, verifyMldsa44WithNode } from "./mldsa.ts"
export {
  addSignatures,
  formatNote,
  formatSignatureLines,
  type Note,
  noteLimits,
  type NoteSignature,
  parseNote,
  parseSignatureLines,
} from "./note.ts"
export {
  type Cosignature,
  type LogIdentity,
  openCheckpoint,
  openWitnessed,
  type WitnessedCheckpoint,
  type WitnessedLog,
} from "./open-checkpoint.ts"
export {
  judgeQuorum,
  parsePolicy,
  parseWitnessPolicy,
  type Policy,
  type PolicyGroup,
  type PolicyLog,
  type PolicyWitness,
  type Quorum,
  type QuorumVerdict,
} from "./policy.ts"
export { formatProof, parseProof, type Proof } from "./proof.ts"
export { replay, type ReplayBatch, type ReplayRequest } from "./replay.ts"
export { parseTilePath, type Tile, tilePath, tilesBetween, tileWidth } from "./tile.ts"
export { nodeReader, tilesFor } from "./tile-nodes.ts"
export { cosign, type NoteSigner, signNote } from "./signer.ts"
export { noteVerifier, type NoteVerifier, type OpenedNote, openNote, signaturesBy } from "./verifier.ts"
export {
  ed25519CosignatureType,
  ed25519Type,
  formatVkey,
  mldsa44CosignatureType,
  parseVkey,
  type VerifierKey,
} from "./vkey.ts"
export {
  type AddCheckpoint,
  formatAddCheckpoint,
  formatTlogSize,
  parseAddCheckpoint,
  parseTlogSize,
  tlogSizeType,
  witnessLimits,
} from "./witness.ts"
