/**
 * The signed example of docs/format.md, made anew: same keys, same time, same bytes, on every machine and every day.
 *
 *     node test/support/make-example.ts            writes test/vectors/example
 *     node test/support/make-example.ts DIR        writes there instead
 *
 * The private keys are published on purpose. They are test keys: whoever trusts them trusts everyone.
 */
import { createHash, createPrivateKey, type KeyObject } from "node:crypto"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import {
  type Bundle,
  canonicalJson,
  encodeBase64,
  encodeUtf8,
  type Envelope,
  exportSigstore,
  formatBundle,
  formatEnvelope,
  makeStatement,
  openTrustChain,
  publicKeyPem,
  signEnvelope,
  type Signer,
  statementPayloadType,
  type TrustChain,
  trustRootPayloadType,
} from "@weighlock/manifest"
import { formatPrivateKey, hashFolder, signerFor } from "@weighlock/manifest/node"
import { formatVkey } from "@weighlock/tlog"
import { noteKey, TinyLog } from "./tiny-log.ts"

export const exampleFolder: string = join(import.meta.dirname, "..", "vectors", "example")
const registry = "models.acme.example"

/** Every file of the example, by its path below the folder. */
export async function makeExample(): Promise<ReadonlyMap<string, Uint8Array>> {
  const [alice, bob, log] = [testKey("alice"), testKey("bob"), testKey("log")]
  const model = modelFiles()
  const trust = await signEnvelope({ payloadType: trustRootPayloadType, payload: trustRoot(alice, bob, log) }, [
    alice.signer,
    bob.signer,
  ])
  const envelope = await signed(model, "1.2.0")
  const [modelSig = new Uint8Array()] = exportSigstore(envelope)
  const bundle = await logged(openTrustChain([formatEnvelope(trust)], { by: "file" }), envelope, model)
  return new Map([
    ...[...model].map(([name, bytes]) => [`model/${name}`, bytes] as const),
    ["README.md", encodeUtf8(readme)],
    ["trust.json", formatEnvelope(trust)],
    ["envelope.json", formatEnvelope(envelope)],
    ["bundle.json", formatBundle(bundle)],
    ["entry.json", bundle.entry],
    ["iris.tlog-proof", encodeUtf8(bundle.proof)],
    ["model.sig", modelSig],
    ...[alice, bob].flatMap(({ label, pem, signer }) => [
      [`${label}.pub.pem`, encodeUtf8(publicKeyPem(signer.publicKey))] as const,
      [`${label}.TEST-ONLY-private.pem`, encodeUtf8(pem)] as const,
    ]),
  ])
}

async function signed(model: ReadonlyMap<string, Uint8Array>, version: string): Promise<Envelope> {
  const payload = await statement(model, version)
  return signEnvelope({ payloadType: statementPayloadType, payload }, [testKey("alice").signer])
}

/** As entry 2 of a log of five: after the genesis and the trust root, before two later versions. */
async function logged(
  trustChain: TrustChain,
  envelope: Envelope,
  model: ReadonlyMap<string, Uint8Array>,
): Promise<Required<Bundle>> {
  const log = new TinyLog(trustChain, noteKey(trustChain.current.log.origin, testKey("log").key))
  const index = log.publish(envelope)
  for (const version of ["1.2.1", "1.3.0"]) log.publish(await signed(model, version))
  return { envelope, entry: log.entries[index] ?? new Uint8Array(), proof: log.proof(index) }
}

const readme = `# The signed example of docs/format.md

Made by \`node test/support/make-example.ts\`; a test compares every byte.

**The private keys here are public. They are test keys: never trust them, never put them in a trust root of your own.**
The seed of each is SHA-256 of the text \`weighlock test key: <label>\`, with the label \`alice\`, \`bob\` or \`log\`.

| file | |
|---|---|
| \`model/\` | the model: three files |
| \`trust.json\` | the trust root, signed by alice and bob |
| \`envelope.json\` | the manifest of the model as acme/iris@1.2.0, signed by alice |
| \`bundle.json\` | the same envelope as a registry answers it: with its log entry and the proof |
| \`entry.json\` | the log entry in the bundle: entry 2 of a log of five |
| \`iris.tlog-proof\` | the proof in the bundle, signed with the key \`log\` |
| \`model.sig\` | the same payload and signature as a Sigstore bundle |
| \`*.pub.pem\` | public keys; the keyid is SHA-256 of the file |
| \`*.TEST-ONLY-private.pem\` | their private halves |
`

interface TestKey {
  readonly label: string
  readonly key: KeyObject
  readonly signer: Signer
  /** PKCS#8, in the clear. */
  readonly pem: string
}

/** The Ed25519 key whose 32-byte seed (RFC 8032 §5.1.5) is SHA-256 of `weighlock test key: <label>`. */
export function testKey(label: string): TestKey {
  const seed = createHash("sha256").update(`weighlock test key: ${label}`).digest()
  const pkcs8 = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed])
  const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" })
  return { label, key, signer: signerFor(key), pem: formatPrivateKey(key, null) }
}

function trustRoot(alice: TestKey, bob: TestKey, log: TestKey): Uint8Array {
  const [first, second] = [alice, bob].map(({ signer }) => signer.publicKey.keyid)
  const keys = [first ?? "", second ?? ""]
  return canonicalJson({
    type: "trust-root",
    schema: 1,
    registry,
    version: 1,
    expires: "2126-01-01T00:00:00Z",
    keys: Object.fromEntries(
      [alice, bob].map(({ label, signer: { publicKey } }) => [
        publicKey.keyid,
        { type: publicKey.type, public: encodeBase64(publicKey.bytes), label },
      ]),
    ),
    roles: { root: { threshold: 2, keys } },
    log: {
      origin: `${registry}/log`,
      vkeys: [formatVkey(`${registry}/log`, log.signer.publicKey.bytes)],
      policy: "quorum none\n",
    },
    namespaces: [
      { pattern: "acme/fraud*", publish: { threshold: 2, keys }, promote: { threshold: 2, keys }, epoch: 0 },
      {
        pattern: "acme/*",
        publish: { threshold: 1, keys },
        promote: { threshold: 1, keys: [keys[1] ?? ""] },
        epoch: 0,
      },
    ],
  })
}

async function statement(model: ReadonlyMap<string, Uint8Array>, version: string): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "weighlock-example-"))
  try {
    await writeAll(folder, model)
    return makeStatement({
      registry,
      model: "acme/iris",
      version,
      createdAt: "2026-11-23T12:00:00Z",
      format: "tfjs-layers",
      entrypoint: "model.json",
      metadata: { framework: "tensorflow.js", license: "apache-2.0" },
      exclude: [],
      resources: await hashFolder(folder),
    })
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** A small network that a loader really takes: four numbers in, three probabilities out, 15 weights. */
function modelFiles(): Map<string, Uint8Array> {
  const weights = Float32Array.from({ length: 15 }, (_, at) => (at - 7) / 8)
  return new Map([
    ["classes/en.txt", encodeUtf8("setosa\nversicolor\nvirginica\n")],
    ["group1-shard1of1.bin", new Uint8Array(weights.buffer)],
    ["model.json", encodeUtf8(`${JSON.stringify(topology())}\n`)],
  ])
}

function topology(): object {
  const dense = {
    name: "dense",
    trainable: true,
    batch_input_shape: [null, 4],
    dtype: "float32",
    units: 3,
    activation: "softmax",
    use_bias: true,
  }
  return {
    format: "layers-model",
    modelTopology: {
      class_name: "Sequential",
      config: { name: "iris", layers: [{ class_name: "Dense", config: dense }] },
      keras_version: "tfjs-layers 4.22.0",
      backend: "tensor_flow.js",
    },
    weightsManifest: [
      {
        paths: ["group1-shard1of1.bin"],
        weights: [
          { name: "dense/kernel", shape: [4, 3], dtype: "float32" },
          { name: "dense/bias", shape: [3], dtype: "float32" },
        ],
      },
    ],
  }
}

export async function writeAll(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [name, bytes] of files) {
    const path = join(folder, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes)
  }
}

if (import.meta.main) await writeAll(process.argv[2] ?? exampleFolder, await makeExample())
