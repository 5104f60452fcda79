export { type Checkpoint, emptyCheckpoint } from "./checkpoint.ts"
export { decodeBase64, decodeHex, decodeUtf8, encodeBase64, encodeHex, encodeUtf8 } from "./encoding.ts"
export { formatVkey, parseVkey, type VerifierKey } from "./note.ts"
