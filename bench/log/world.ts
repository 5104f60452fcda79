/** A registry's trust root, keys and signed manifests, made for a measurement. */
import { createHash, randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"

import {
  type Envelope,
  formatEnvelope,
  makeFirstTrustRoot,
  makeStatement,
  openTrustChain,
  signEnvelope,
  type Signer,
  statementPayloadType,
  type TrustChain,
  trustRootPayloadType,
} from "@weighlock/manifest"
import { formatPrivateKey, generateEd25519, signerFor } from "@weighlock/manifest/node"
import { formatVkey, type NoteSigner } from "@weighlock/tlog"

export const registry = "models.acme.example"

export interface World {
  readonly signer: Signer
  readonly log: NoteSigner
  readonly trust: TrustChain
  /** Path of the trust root; the log's key is beside it. */
  readonly trustFile: string
}

export async function makeWorld(folder: string): Promise<World> {
  const logKey = generateEd25519()
  const vkey = formatVkey(`${registry}/log`, signerFor(logKey).publicKey.bytes)
  const signer = signerFor(generateEd25519())
  const expires = new Date(Date.now() + 365 * 86_400_000)
  const payload = makeFirstTrustRoot({ registry, key: signer.publicKey, label: "bench", vkey, expires })
  const root = formatEnvelope(await signEnvelope({ payloadType: trustRootPayloadType, payload }, [signer]))
  const trustFile = join(folder, "trust.json")
  writeFileSync(trustFile, root)
  writeFileSync(join(folder, "log-key.pem"), formatPrivateKey(logKey, null), { mode: 0o600 })
  const log = { vkey, sign: (message: Uint8Array) => signerFor(logKey).sign(message) }
  return { signer, log, trust: openTrustChain([root], { by: "file" }), trustFile }
}

/** The one file of every version. */
export const blob: Buffer = randomBytes(10)
export const blobDigest: string = createHash("sha256").update(blob).digest("hex")

/** A version of one of 100 models, with one small file: a payload of about 1 KiB, as most are. */
export function signVersion({ signer }: World, number: number): Promise<Envelope> {
  const payload = makeStatement({
    registry,
    model: modelOf(number),
    version: `0.0.${number}`,
    createdAt: "2026-11-23T12:00:00Z",
    format: "other",
    metadata: { framework: "tensorflow.js", license: "apache-2.0" },
    exclude: [],
    resources: [{ name: "weights.bin", digest: blobDigest, size: blob.length }],
  })
  return signEnvelope({ payloadType: statementPayloadType, payload }, [signer])
}

export const modelOf = (number: number): string => `acme/model-${number % 100}`
