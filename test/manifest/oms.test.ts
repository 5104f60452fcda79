/**
 * Bundles of other OpenSSF Model Signing tools: every one that the released `model_signing` packages wrote is read, and what
 * differs in one point is refused.
 */
import assert from "node:assert/strict"
import { generateKeyPairSync, sign } from "node:crypto"
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { ManifestError, parseOmsBundle, parseOmsStatement } from "@weighlock/manifest"
import { openOms, type OmsTrust, parseOmsKey, parseRoots, verifyOmsFolder } from "@weighlock/manifest/node"
import { ecKey } from "../support/certificate.ts"
import {
  bytesOf,
  omsFile,
  omsFolder,
  omsKeyOf,
  omsModel,
  readOms,
  type Resource,
  sha256,
  signedBundle,
  statementOf,
} from "../support/oms.ts"
import { codeOf, tempFolder } from "../support/temp.ts"

const now = new Date("2027-01-01T00:00:00Z")
const bundles = globSync("*/*.sig", { cwd: omsFolder })
  .map((path) => path.replaceAll("\\", "/"))
  .toSorted()

function trustOf(path: string): OmsTrust {
  if (path.includes("certificate"))
    return { by: "certificate", roots: parseRoots(readOms("certificates", "root.pem").toString(), "root.pem") }
  const [, label = "p256"] = /-(p\d+)\.sig$/.exec(path) ?? []
  return { by: "key", key: parseOmsKey(readOms(`${label}.pub.pem`).toString(), label) }
}

/** What one file of the folder is not in, or the whole is not of. */
const different: Readonly<Record<string, string>> = {
  "0.2.0/digest-p256.sig": "USAGE",
  "1.1.0/files-ignored.sig": "weights",
  "1.1.0/one-file.sig": "config.json",
}

/** What is listed and how it is hashed; by whom it was signed makes no difference to the folder. */
const ofEachKind = new Set(
  [
    "0.2.0/digests-p256",
    "0.2.0/shard-digests-p256",
    "1.1.0/files-blake2",
    "1.1.0/files-blake3",
    "1.1.0/files-p256",
    "1.1.0/shards",
  ].map((name) => `${name}.sig`),
)

test("there are bundles of every released version", () => {
  const versions = [...new Set(bundles.map((path) => dirname(path)))]
  assert.deepEqual(versions, ["0.2.0", "0.3.0", "0.3.1", "1.0.0", "1.0.1", "1.1.0", "1.1.1"])
})

for (const path of bundles) {
  test(`${path} is read`, async (t) => {
    const special = different[path]
    if (special === "USAGE") {
      assert.equal(await codeOf(() => openOms(readOms(path), trustOf(path), now)), "USAGE")
      return
    }
    const oms = openOms(readOms(path), trustOf(path), now)
    const one = special === "config.json"
    const { digests } = await verifyOmsFolder(one ? join(omsModel, "config.json") : omsModel, oms, {})
    assert.deepEqual(oms.statement.ignored, special === "weights" ? ["weights"] : [])
    for (const [name, digest] of digests) assert.equal(digest, sha256(readFileSync(join(omsModel, name))), name)
    const names = ["config.json", "it's é.txt", "weights/bias.bin", "weights/w.bin"]
    assert.deepEqual([...digests.keys()], one ? ["config.json"] : special === "weights" ? names.slice(0, 2) : names)
    assert.equal(oms.signer.method, path.includes("certificate") ? "certificate" : "key")
    t.diagnostic(`${oms.statement.predicateType} ${oms.statement.hash}`)
  })

  if (different[path] !== undefined) continue
  if (ofEachKind.has(path))
    test(`${path}: a changed byte, a missing and a further file are refused`, async (t) => {
      const oms = openOms(readOms(path), trustOf(path), now)
      const folder = join(tempFolder(t), "model")
      cpSync(omsModel, folder, { recursive: true })
      const refused = async (change: () => void, undo: () => void): Promise<void> => {
        change()
        assert.equal(await codeOf(() => verifyOmsFolder(folder, oms, {})), "DIGEST_MISMATCH")
        undo()
        await verifyOmsFolder(folder, oms, {})
      }
      const weights = join(folder, "weights/w.bin")
      const bytes = readFileSync(weights)
      const flipped = Buffer.from(bytes)
      flipped[2400] = (flipped[2400] ?? 0) ^ 1
      const restore = (): void => writeFileSync(weights, bytes)
      await refused(() => writeFileSync(weights, flipped), restore)
      await refused(() => writeFileSync(weights, bytes.subarray(1)), restore)
      await refused(() => writeFileSync(weights, Buffer.concat([bytes, Buffer.of(0)])), restore)
      await refused(() => rmSync(weights), restore)
      const extra = join(folder, "weights", "extra")
      await refused(
        () => writeFileSync(extra, "x"),
        () => rmSync(extra),
      )
      await refused(
        () => writeFileSync(extra, ""),
        () => rmSync(extra),
      )
      await refused(
        () => symlinkSync("w.bin", extra),
        () => rmSync(extra),
      )
    })

  test(`${path}: no flipped bit of payload or signature passes, nor another key`, async () => {
    const bundle = JSON.parse(readOms(path).toString()) as ReturnType<typeof signedBundle>
    const { dsseEnvelope } = bundle
    const payload = Buffer.from(dsseEnvelope.payload, "base64")
    const sig = Buffer.from(dsseEnvelope.signatures[0]?.sig ?? "", "base64")
    for (const [bytes, put] of [
      [payload, (text: string) => (dsseEnvelope.payload = text)],
      [sig, (text: string) => (dsseEnvelope.signatures[0]!.sig = text)],
    ] as const) {
      const step = Math.ceil(bytes.length / 8)
      for (let at = 0; at < bytes.length; at += step) {
        const changed = Buffer.from(bytes)
        changed[at] = (changed[at] ?? 0) ^ 4
        put(changed.toString("base64"))
        assert.equal(await codeOf(() => openOms(bytesOf(bundle), trustOf(path), now)), "SIGNATURE_INVALID", `${at}`)
      }
      put(bytes.toString("base64"))
    }
    openOms(bytesOf(bundle), trustOf(path), now)
    if (path.includes("certificate")) return
    const stranger: OmsTrust = { by: "key", key: omsKeyOf(ecKey()) }
    assert.equal(await codeOf(() => openOms(bytesOf(bundle), stranger, now)), "SIGNER_UNTRUSTED")
  })
}

const files = { "a.txt": "alpha", "b/c.txt": "gamma" }
const key = ecKey()
const trust: OmsTrust = { by: "key", key: omsKeyOf(key) }

async function refusal(bundle: object, by: OmsTrust = trust): Promise<string> {
  return await codeOf(() => openOms(bytesOf(bundle), by, now))
}

test("keys of all four kinds, each with the hash of its curve and no other", async () => {
  const keys = [...["P-256", "P-384", "P-521"].map(ecKey), generateKeyPairSync("ed25519").privateKey]
  for (const key of keys) {
    const by: OmsTrust = { by: "key", key: omsKeyOf(key) }
    assert.equal(await refusal(signedBundle(statementOf(files), key), by), "none")
    if (key.asymmetricKeyType === "ed25519") continue
    const own = { prime256v1: "sha256", secp384r1: "sha384", secp521r1: "sha512" }
    for (const hash of ["sha1", "sha256", "sha384", "sha512"]) {
      const usual = own[key.asymmetricKeyDetails?.namedCurve as keyof typeof own] === hash
      const found = await refusal(signedBundle(statementOf(files), key, { hash }), by)
      assert.equal(found, usual ? "none" : "SIGNATURE_INVALID", hash)
    }
  }
})

for (const [name, make] of Object.entries({
  "an RSA key": () => generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey,
  secp256k1: () => generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey,
  Ed448: () => generateKeyPairSync("ed448").publicKey,
})) {
  test(`refused as a key: ${name}`, async () => {
    const pem = make().export({ type: "spki", format: "pem" }).toString()
    assert.equal(await codeOf(() => parseOmsKey(pem, "the key")), "KEY_WEAK")
  })
}

test("refused as a key file: a private key, two keys, something else", async () => {
  const secret = key.export({ type: "pkcs8", format: "pem" }).toString()
  const pem = readOms("p256.pub.pem").toString()
  for (const text of [secret, pem + pem, "", "hello", pem.replace("PUBLIC", "RSA PUBLIC")])
    assert.equal(await codeOf(() => parseOmsKey(text, "the key")), "USAGE", text)
})

test("refused: a wrong key where the bundle names none", async () => {
  const bundle = signedBundle(statementOf(files), ecKey(), { material: { publicKey: {}, tlogEntries: [] } })
  assert.equal(await refusal(bundle), "SIGNATURE_INVALID")
})

test("v0.2's way of signing is believed of v0.2's statements only", async () => {
  const byOldTool = (statement: object): object => {
    const bundle = signedBundle(statement, key)
    const payload = Buffer.from(bundle.dsseEnvelope.payload, "base64")
    const shown = payload.toString().replaceAll("\n", String.raw`\n`) // as Python shows bytes that need no more
    const message = `DSSEV1 28 application/vnd.in-toto+json ${payload.length} b'${shown}'`
    bundle.dsseEnvelope.signatures[0]!.sig = sign("sha256", Buffer.from(message), key).toString("base64")
    return bundle
  }
  const subject = { name: "a", digest: { sha256: sha256("x") }, annotations: { actual_hash_algorithm: "file-sha256" } }
  const old = {
    ...statementOf(files),
    subject: [subject],
    predicateType: "https://model_signing/Digests/v0.1",
    predicate: {},
  }
  assert.equal(await refusal(byOldTool(old)), "none")
  assert.equal(await refusal(byOldTool(statementOf(files))), "SIGNATURE_INVALID")
})

const good = signedBundle(statementOf(files), key)
const wrongForms: Readonly<Record<string, object | string>> = {
  "a duplicated key": JSON.stringify(good).replace('{"mediaType"', '{"mediaType":"x","mediaType"'),
  "a duplicated payload": JSON.stringify(good).replace('"payload":', '"payload":"","payload":'),
  "an unknown member": { ...good, extra: 1 },
  __proto__: JSON.stringify(good).replace('{"mediaType"', '{"__proto__":{},"mediaType"'),
  "another media type": { ...good, mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.2" },
  "no material": { ...good, verificationMaterial: {} },
  "two materials": {
    ...good,
    verificationMaterial: { publicKey: {}, x509CertificateChain: { certificates: [{ rawBytes: "AAAA" }] } },
  },
  "log entries": { ...good, verificationMaterial: { publicKey: {}, tlogEntries: [{}] } },
  timestamps: {
    ...good,
    verificationMaterial: { publicKey: {}, timestampVerificationData: { rfc3161Timestamps: [{}] } },
  },
  "two signatures": {
    ...good,
    dsseEnvelope: { ...good.dsseEnvelope, signatures: Array(2).fill(good.dsseEnvelope.signatures[0]) },
  },
  "another keyid": {
    ...good,
    dsseEnvelope: { ...good.dsseEnvelope, signatures: [{ ...good.dsseEnvelope.signatures[0], keyid: "alice" }] },
  },
  "base64 with white space": {
    ...good,
    dsseEnvelope: { ...good.dsseEnvelope, payload: `${good.dsseEnvelope.payload}\n` },
  },
  "another payload type": signedBundle(statementOf(files), key, { payloadType: "application/json" }),
  "no certificates": { ...good, verificationMaterial: { x509CertificateChain: { certificates: [] } } },
  "a list": [good],
  "trailing text": `${JSON.stringify(good)}{}`,
}
for (const [name, bundle] of Object.entries(wrongForms)) {
  test(`refused as a bundle: ${name}`, async () => {
    const bytes = typeof bundle === "string" ? Buffer.from(bundle) : bytesOf(bundle)
    assert.equal(await codeOf(() => openOms(bytes, trust, now)), "MANIFEST_INVALID")
  })
}

test("an unsigned bundle, a keyless one and the other method are told from a malformed one", async () => {
  const unsigned = { ...good, dsseEnvelope: { ...good.dsseEnvelope, signatures: [] } }
  assert.equal(await refusal(unsigned), "UNSIGNED")
  assert.equal(await refusal({ ...good, verificationMaterial: { certificate: { rawBytes: "AAAA" } } }), "USAGE")
  assert.equal(await refusal(good, { by: "certificate", roots: [] }), "USAGE")
})

test("a bundle and a statement that are too large are refused before they are looked at", async () => {
  assert.equal(await codeOf(() => parseOmsBundle(new Uint8Array(25_165_825))), "TOO_LARGE")
  const huge = signedBundle(`{"x":"${"y".repeat(16_777_216)}"}`, key)
  assert.equal(await refusal(huge), "TOO_LARGE")
  const many = Object.fromEntries(Array.from({ length: 10_001 }, (_, at) => [`f${at}`, ""]))
  assert.equal(await refusal(signedBundle(JSON.stringify(statementOf(many)), key)), "TOO_LARGE")
})

type Edit = Parameters<typeof statementOf>[1]
const resource = (name: string): Resource => ({ name, algorithm: "sha256", digest: sha256("x") })
const traversals = ["../a", "a/../b", "/etc/passwd", "..", "a//b", "./a", "a/", "", ".", "C:/x", "a\\b"]
const names = [...traversals, "a\u0000b", "a\u202eb", "con", ".git/hooks/x", "e\u0301"]
const wrongStatements: Readonly<Record<string, Edit>> = {
  ...Object.fromEntries(
    names.map((name) => [`the path ${JSON.stringify(name)}`, ({ resources }) => void resources.push(resource(name))]),
  ),
  "a file twice": ({ resources }) => void resources.push(resource("a.txt")),
  "case twins": ({ resources }) => void resources.push(resource("A.txt")),
  "a file that is a folder": ({ resources }) => void resources.push(resource("a.txt/x")),
  "no files": ({ resources }) => void resources.splice(0),
  "an upper-case digest": ({ resources }) => void (resources[0]!.digest = resources[0]!.digest.toUpperCase()),
  "a short digest": ({ resources }) => void (resources[0]!.digest = "00"),
  "a digest of another function": ({ resources }) => void (resources[0]!.algorithm = "blake3"),
  "an unknown member of a resource": ({ resources }) => void Object.assign(resources[0]!, { uri: "x" }),
  "an unknown member of the serialization": ({ serialization }) => void (serialization["follow"] = true),
  "an unknown method": ({ serialization }) => void (serialization["method"] = "tensors"),
  "shards without a size": ({ serialization }) => void (serialization["method"] = "shards"),
  "files with a shard size": ({ serialization }) => void (serialization["shard_size"] = 1),
  "allow_symlinks as text": ({ serialization }) => void (serialization["allow_symlinks"] = "false"),
  "an ignored path outside": ({ serialization }) => void (serialization["ignore_paths"] = ["../x"]),
  "everything ignored": ({ serialization }) => void (serialization["ignore_paths"] = ["."]),
  "a listed path ignored": ({ serialization }) => void (serialization["ignore_paths"] = ["b"]),
  "ignored paths as text": ({ serialization }) => void (serialization["ignore_paths"] = "b"),
}
for (const [name, edit] of Object.entries(wrongStatements)) {
  test(`refused in a statement: ${name}`, async () => {
    assert.equal(await refusal(signedBundle(statementOf(files, edit), key)), "MANIFEST_INVALID")
  })
}

test("refused: an unknown hash function, by name", async () => {
  for (const hash of ["md5", "sha512", "file-fd-sha256", "sha256-tree"]) {
    const edit: Edit = ({ serialization, resources }) => {
      serialization["hash_type"] = hash
      for (const item of resources) item.algorithm = hash
    }
    const code = await refusal(signedBundle(statementOf(files, edit), key))
    assert.equal(code, "USAGE", hash)
  }
})

const whole = statementOf(files)
const wrongWholes: Readonly<Record<string, object | string>> = {
  "another kind of statement": { ...whole, _type: "https://in-toto.io/Statement/v0.1" },
  "another predicate": { ...whole, predicateType: "https://slsa.dev/provenance/v1" },
  "a predicate of tomorrow": { ...whole, predicateType: "https://model_signing/signature/v2.0" },
  "no subject": { ...whole, subject: [] },
  "another root": { ...whole, subject: [{ name: "model", digest: { sha256: sha256("x") } }] },
  "an unknown member": { ...whole, extra: 1 },
  "null as predicate": { ...whole, predicate: null },
  "a duplicated key": JSON.stringify(whole).replace('"predicate":', '"predicate":{},"predicate":'),
  "no object": "[]",
  "no JSON": "hello",
}
for (const [name, statement] of Object.entries(wrongWholes)) {
  test(`refused as a statement: ${name}`, async () => {
    assert.equal(await refusal(signedBundle(statement, key)), "MANIFEST_INVALID")
  })
}

test("v1.0: other members of the predicate are passed over, as its text asks", async () => {
  assert.equal(
    await refusal(
      signedBundle(
        statementOf(files, (predicate) => void (predicate["card"] = {})),
        key,
      ),
    ),
    "none",
  )
})

function shards(labels: readonly string[], size = 4): object {
  return statementOf({}, ({ serialization, resources }) => {
    Object.assign(serialization, { method: "shards", shard_size: size })
    for (const name of labels) resources.push(resource(name))
  })
}
for (const labels of [
  ["a:0:4", "a:8:9"],
  ["a:0:4", "a:0:4"],
  ["a:4:8"],
  ["a:0:5"],
  ["a:0:3", "a:3:4"],
  ["a:0:0"],
  ["a:00:4"],
  ["a:0:4:8"],
  ["a"],
  [":0:4"],
  ["../a:0:4"],
  ["a:0:9007199254740993"],
]) {
  test(`refused as pieces: ${labels.join(" ")}`, async () => {
    assert.equal(await refusal(signedBundle(shards(labels), key)), "MANIFEST_INVALID")
  })
}

test("a hundred thousand pieces of one file are read in reasonable time", () => {
  const labels = Array.from({ length: 100_000 }, (_, at) => `a:${4 * at}:${4 * at + 4}`)
  const { files } = parseOmsStatement(Buffer.from(JSON.stringify(shards(labels))))
  assert.equal(files[0]?.size, 400_000)
})

test("a link to the model's own file is refused even where the signer allowed links", async (t) => {
  const folder = tempFolder(t)
  writeFileSync(join(folder, "real"), "alpha")
  symlinkSync("real", join(folder, "link"))
  const both = { link: "alpha", real: "alpha" }
  const bundle = signedBundle(
    statementOf(both, ({ serialization }) => void (serialization["allow_symlinks"] = true)),
    key,
  )
  const oms = openOms(bytesOf(bundle), trust, now)
  await assert.rejects(verifyOmsFolder(folder, oms, {}), { code: "DIGEST_MISMATCH" })
})

test("the names of Git are never part of a model; what the user leaves out is", async (t) => {
  const folder = tempFolder(t)
  for (const [name, content] of Object.entries({ ...files, ".git/config": "x", "model.sig": "x" })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  const oms = openOms(bytesOf(good), trust, now)
  await assert.rejects(verifyOmsFolder(folder, oms, {}), (error) => {
    assert.ok(error instanceof ManifestError && error.message.includes("model.sig"))
    return true
  })
  const { digests } = await verifyOmsFolder(folder, oms, { exclude: ["model.sig"] })
  assert.deepEqual([...digests.keys()], Object.keys(files))
})

test("a model of one file is that file, whatever it is called, and no folder", async (t) => {
  const path = "1.1.0/one-file.sig"
  const oms = openOms(readOms(path), trustOf(path), now)
  for (const name of ["config.json", "sitecustomize.py"]) {
    const folder = tempFolder(t)
    cpSync(join(omsModel, "config.json"), join(folder, name))
    await assert.rejects(verifyOmsFolder(folder, oms, {}), { code: "DIGEST_MISMATCH" })
    await verifyOmsFolder(join(folder, name), oms, {})
  }
  await assert.rejects(verifyOmsFolder(omsModel, oms, {}), { code: "DIGEST_MISMATCH" })
  await assert.rejects(verifyOmsFolder(omsFile("p256.pub.pem"), oms, {}), { code: "DIGEST_MISMATCH" })
})
