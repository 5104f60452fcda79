/** Signers with fresh keys, as a log and its witnesses have them. */
import { generateKeyPairSync, sign } from "node:crypto"
import {
  ed25519CosignatureType,
  ed25519Type,
  formatCheckpoint,
  formatNote,
  formatVkey,
  hashLeaf,
  mldsa44CosignatureType,
  type NoteSigner,
  signNote,
} from "@weighlock/tlog"

export const origin = "models.acme.example/log"

function signer(name: string, algorithm: "ed25519" | "ml-dsa-44", type: number): NoteSigner {
  // One call for both algorithms: the typings have an overload each.
  const { publicKey, privateKey } = generateKeyPairSync(algorithm as "ed25519")
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(algorithm === "ed25519" ? 12 : 22)
  return {
    vkey: formatVkey(name, raw, type),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  }
}

export const logSigner = (name: string = origin): NoteSigner => signer(name, "ed25519", ed25519Type)
export const witness = (name: string): NoteSigner => signer(name, "ed25519", ed25519CosignatureType)
export const quantumWitness = (name: string): NoteSigner => signer(name, "ml-dsa-44", mldsa44CosignatureType)

/** A checkpoint of `size` entries; the root tells `tree` apart from others, it is of no real tree. */
export function bodyOf(size: number, tree: string = "one"): string {
  return formatCheckpoint({ origin, size, root: hashLeaf(new TextEncoder().encode(`${tree} ${size}`)) })
}

export async function signed(text: string, ...signers: NoteSigner[]): Promise<string> {
  return formatNote(await signNote(text, signers))
}
