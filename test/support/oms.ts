/** Bundles of other tools: those kept in test/vectors/oms, and such as none of them would write. */
import { createHash, createPublicKey, type KeyObject, sign } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { preAuthEncoding } from "@weighlock/manifest"
import { parseOmsKey, type OmsKey } from "@weighlock/manifest/node"

export const omsFolder: string = join(import.meta.dirname, "..", "vectors", "oms")
export const omsModel: string = join(omsFolder, "model")

export function omsFile(...names: readonly string[]): string {
  return join(omsFolder, ...names)
}

export function readOms(...names: readonly string[]): Buffer {
  return readFileSync(omsFile(...names))
}

export function pemOfKey(key: KeyObject): string {
  return createPublicKey(key).export({ type: "spki", format: "pem" }).toString()
}

export function omsKeyOf(key: KeyObject): OmsKey {
  return parseOmsKey(pemOfKey(key), "the key")
}

export interface Resource {
  name: string
  algorithm: string
  digest: string
}

export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex")
}

/** A v1.0 statement over `files` (name to content), its list and serialization changed by `edit`. */
export function statementOf(
  files: Readonly<Record<string, string>>,
  edit: (predicate: {
    serialization: Record<string, unknown>
    resources: Resource[]
    [other: string]: unknown
  }) => void = () => {},
): Record<string, unknown> {
  const predicate = {
    serialization: { method: "files", hash_type: "sha256", allow_symlinks: false } as Record<string, unknown>,
    resources: Object.entries(files).map(([name, content]) => ({ name, algorithm: "sha256", digest: sha256(content) })),
  }
  edit(predicate)
  const root = createHash("sha256")
  for (const { digest } of predicate.resources) root.update(digest, "hex")
  return {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "model", digest: { sha256: root.digest("hex") } }],
    predicateType: "https://model_signing/signature/v1.0",
    predicate,
  }
}

const type = "application/vnd.in-toto+json"

interface SignedBundle extends Record<string, unknown> {
  dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string; keyid: string }[] }
}

/** Signed as `model_signing` 1.1 does it; what is given besides replaces members of the bundle. */
export function signedBundle(
  payload: string | object,
  key: KeyObject,
  { hash, material, payloadType = type }: { hash?: string | null; material?: object; payloadType?: string } = {},
): SignedBundle {
  const bytes = Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload, null, 2))
  const hashes: Record<string, string> = { prime256v1: "sha256", secp384r1: "sha384", secp521r1: "sha512" }
  const usual = hashes[key.asymmetricKeyDetails?.namedCurve ?? ""] ?? null
  const sig = sign(hash === undefined ? usual : hash, preAuthEncoding(payloadType, bytes), key)
  return {
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: material ?? { publicKey: { hint: sha256(pemOfKey(key)) }, tlogEntries: [] },
    dsseEnvelope: {
      payload: bytes.toString("base64"),
      payloadType,
      signatures: [{ sig: sig.toString("base64"), keyid: "" }],
    },
  }
}

export function chainMaterial(chain: readonly Uint8Array[]): object {
  return {
    x509CertificateChain: { certificates: chain.map((der) => ({ rawBytes: Buffer.from(der).toString("base64") })) },
    tlogEntries: [],
  }
}

export function bytesOf(bundle: object): Uint8Array {
  return Buffer.from(JSON.stringify(bundle))
}
