/** The one verify: it answers only for what was asked. What it asks of the log: log-proof.test.ts. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  admitPublish,
  exportSigstore,
  formatBundle,
  formatEnvelope,
  importSigstore,
  isSigstoreBundle,
  judgePublish,
  makeStatement,
  parseBundle,
  parseJson,
  parseStatement,
  sha256Hex,
} from "@weighlock/manifest"
import {
  check,
  draft,
  ed25519Signer,
  makeChain,
  now,
  p256Signer,
  signDraft,
  signManifest,
  utf8,
} from "../support/trust.ts"

const [alice, bob] = [ed25519Signer(), p256Signer()]
const chain = await makeChain([alice, bob])
const envelope = await signDraft([alice])
const digest = sha256Hex(envelope.payload)
const mismatch = { code: "SUBJECT_MISMATCH" }

test("verify: by version and by digest", () => {
  const manifest = check(chain, envelope)
  assert.deepEqual([manifest.digest, manifest.signers], [digest, [alice.publicKey.keyid]])
  assert.equal(check(chain, envelope, `acme/mnist@sha256:${digest}`).version, "1.2.0")
  assert.equal(check(chain, envelope, "elsewhere.example/acme/mnist@1.2.0").model, "acme/mnist")
})

const others = {
  "another version": "acme/mnist@1.2.1",
  "an older version": "acme/mnist@1.1.9",
  "a pre-release of it": "acme/mnist@1.2.0-rc.1",
  "another model": "acme/other@1.2.0",
  "another namespace": "beta/mnist@1.2.0",
  "another digest": `acme/mnist@sha256:${"0".repeat(64)}`,
  "the digest under another model": `acme/other@sha256:${digest}`,
}
for (const [why, reference] of Object.entries(others)) {
  test(`verify refused: asked for ${why}`, () => assert.throws(() => check(chain, envelope, reference), mismatch))
}
test("verify refused: validly signed for another registry", async () => {
  const foreign = await signDraft([alice], { registry: "other.example" })
  assert.throws(() => check(chain, foreign), mismatch)
})
for (const moving of ["acme/mnist:prod", "acme/mnist@^1"]) {
  test(`verify refused: ${moving} needs the log`, () =>
    assert.throws(() => check(chain, envelope, moving), { code: "NEEDS_LOG" }))
}

test("verify refused: signed bytes that are no statement are refused after the signature, as malformed", async () => {
  for (const payload of [
    utf8("{}"),
    utf8("pickle"),
    new Uint8Array(0),
    utf8(` ${Buffer.from(envelope.payload).toString()}`),
  ]) {
    assert.throws(() => check(chain, { ...envelope, payload }), { code: "SIGNATURE_INVALID" })
    const signed = await signManifest(payload, [alice])
    assert.throws(() => check(chain, signed), { code: "MANIFEST_INVALID" })
  }
})
test("verify refused: a signed statement whose dirHash1 describes other names", async () => {
  const text = Buffer.from(envelope.payload).toString().replace('"name":"model.json"', '"name":"model.jsoo"')
  const signed = await signManifest(utf8(text), [alice])
  assert.throws(() => check(chain, signed), { code: "MANIFEST_INVALID" })
})
test("verify: a stranger is told apart from a broken signature, and neither parses the payload", async () => {
  const garbage = utf8("not json")
  await assert.rejects(async () => check(chain, await signManifest(garbage, [ed25519Signer()])), {
    code: "SIGNER_UNTRUSTED",
  })
})

test("admitPublish: only at the address that was signed", async () => {
  const request = { envelope, trustChain: chain, model: "acme/mnist", now, verifiers: "native" as const }
  assert.equal(admitPublish(request).digest, digest)
  assert.throws(() => admitPublish({ ...request, model: "acme/other" }), mismatch)
  assert.throws(() => admitPublish({ ...request, model: "mnist" }), mismatch)
  assert.throws(() => admitPublish({ ...request, now: new Date("2030-01-01T00:00:00Z") }), { code: "TRUST_EXPIRED" })
})
test("judgePublish: new, the same again, and never another", () => {
  const candidate = parseStatement(makeStatement(draft()))
  assert.equal(judgePublish(null, candidate), "new")
  assert.equal(judgePublish({ digest: candidate.digest }, candidate), "same")
  assert.throws(() => judgePublish({ digest: "0".repeat(64) }, candidate), { code: "VERSION_EXISTS" })
})

test("Sigstore: one bundle per signature, back to the same payload and signature, and it verifies", async () => {
  const both = await signDraft([alice, bob])
  const bundles = exportSigstore(both)
  assert.equal(bundles.length, 2)
  for (const [at, bytes] of bundles.entries()) {
    assert.ok(isSigstoreBundle(parseJson(bytes)))
    const back = importSigstore(bytes)
    assert.equal(back.signatures[0]?.keyid, both.signatures[at]?.keyid)
    assert.deepEqual(Buffer.from(back.signatures[0]?.sig ?? []), both.signatures[at]?.sig)
    assert.deepEqual(back.payload, both.payload)
    assert.equal(check(chain, back).signers[0], both.signatures[at]?.keyid)
  }
})
type Any = any // a tree to break at any place
const sigstore: Record<string, (bundle: Any) => void> = {
  "media type v0.2": (b) => (b.mediaType = "application/vnd.dev.sigstore.bundle+json;version=0.2"),
  "a certificate instead of a key": (b) =>
    (b.verificationMaterial = { certificate: { rawBytes: "AA==" }, tlogEntries: [] }),
  "a certificate beside the key": (b) => (b.verificationMaterial.certificate = { rawBytes: "AA==" }),
  "an embedded key": (b) => (b.verificationMaterial.publicKey.rawBytes = "AA=="),
  "log entries": (b) => (b.verificationMaterial.tlogEntries = [{}]),
  "no hint": (b) => (b.verificationMaterial.publicKey = {}),
  "a hint that is no keyid": (b) => (b.verificationMaterial.publicKey.hint = "alice"),
  "another keyid than the hint": (b) => (b.dsseEnvelope.signatures[0].keyid = "0".repeat(64)),
  "two signatures": (b) => b.dsseEnvelope.signatures.push(b.dsseEnvelope.signatures[0]),
  "no signatures": (b) => (b.dsseEnvelope.signatures = []),
  "a message signature": (b) => (b.messageSignature = {}),
  "payload in base64url": (b) => (b.dsseEnvelope.payload = "__8="),
}
for (const [why, edit] of Object.entries(sigstore)) {
  test(`Sigstore refused: ${why}`, () => {
    const bundle = JSON.parse(Buffer.from(exportSigstore(envelope)[0] ?? []).toString())
    edit(bundle)
    assert.throws(() => importSigstore(utf8(JSON.stringify(bundle))), { code: "MANIFEST_INVALID" })
  })
}
test("Sigstore refused: duplicate keys", () => {
  const text = Buffer.from(exportSigstore(envelope)[0] ?? []).toString()
  assert.throws(() => importSigstore(utf8(text.replace("{", '{"mediaType":"x",'))), { code: "MANIFEST_INVALID" })
})
test("Sigstore: a signature without keyid takes the hint; a hint of someone else's is refused by verify", () => {
  const bundle = JSON.parse(Buffer.from(exportSigstore(envelope)[0] ?? []).toString())
  delete bundle.dsseEnvelope.signatures[0].keyid
  assert.equal(check(chain, importSigstore(utf8(JSON.stringify(bundle)))).digest, digest)
  bundle.verificationMaterial.publicKey.hint = bob.publicKey.keyid
  assert.throws(() => check(chain, importSigstore(utf8(JSON.stringify(bundle)))), { code: "SIGNATURE_INVALID" })
})
test("Sigstore refused: more than 24 MiB are TOO_LARGE before they are looked at", () => {
  assert.throws(() => importSigstore(new Uint8Array(25_165_825)), { code: "TOO_LARGE" })
})
test("envelope and bundle bytes: the same in, the same out", () => {
  const bytes = formatBundle({ envelope })
  assert.deepEqual(formatBundle(parseBundle(bytes)), bytes)
  assert.ok(Buffer.from(bytes).includes(Buffer.from(formatEnvelope(envelope))))
})
