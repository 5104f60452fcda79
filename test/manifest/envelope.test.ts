/** Envelopes: form, and that no bit of a real one can be another and still be believed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  canonicalJson,
  encodeBase64,
  type Envelope,
  formatBundle,
  formatEnvelope,
  type JsonValue,
  limits,
  makeStatement,
  openPublished,
  openTrustChain,
  parseBundle,
  parseEnvelope,
  preAuthEncoding,
  signEnvelope,
  type SignedManifest,
  type Signer,
  statementPayloadType,
  type TrustChain,
  trustRootPayloadType,
} from "@weighlock/manifest"
import {
  check as checkBundle,
  draft,
  ed25519Signer,
  logged,
  makeChain,
  now,
  p256Signer,
  rootJson,
  signDraft,
  signRoot,
  utf8,
} from "../support/trust.ts"
import { every, isThorough } from "../support/thorough.ts"

const alice = ed25519Signer()
const chain = await makeChain([alice])
const envelope = await signDraft([alice])
const bytes = formatEnvelope(envelope)
const check = (trustChain: TrustChain, signed: Envelope): SignedManifest => openPublished(signed, trustChain, now)

/** Calls `open` with every single-bit flip; answers how many got through. Every refusal must have a code of ours. */
function survivors(original: Uint8Array, open: (bytes: Uint8Array) => void, step = 1): number[] {
  const through: number[] = []
  const flipped = Uint8Array.from(original)
  for (let bit = 0; bit < 8 * original.length; bit += step) {
    flipped[bit >> 3] = (original[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    try {
      open(flipped)
      through.push(bit)
    } catch (error) {
      assert.match(String((error as { code?: unknown }).code), /^[A-Z][A-Z_]+$/, String(error))
    }
    flipped[bit >> 3] = original[bit >> 3] ?? 0
  }
  return through
}

test("envelope: as it is, it verifies", () => {
  assert.equal(check(chain, parseEnvelope(bytes)).model, "acme/mnist")
})
test("bit flips: those of an Ed25519 envelope are refused", () => {
  assert.deepEqual(
    survivors(bytes, (flipped) => check(chain, parseEnvelope(flipped)), every(7)),
    [],
  )
})
test("bit flips: those of an ECDSA P-256 envelope are refused", async () => {
  const carol = p256Signer()
  const own = await makeChain([carol])
  const signed = formatEnvelope(await signDraft([carol]))
  assert.equal(check(own, parseEnvelope(signed)).version, "1.2.0")
  assert.deepEqual(
    survivors(signed, (flipped) => check(own, parseEnvelope(flipped)), every(7)),
    [],
  )
})
test("bit flips: those of a logged bundle are refused", () => {
  const bundle = formatBundle(logged(chain, envelope))
  checkBundle(chain, parseBundle(bundle))
  assert.deepEqual(
    survivors(bundle, (flipped) => checkBundle(chain, parseBundle(flipped)), isThorough ? 23 : 89),
    [],
  )
})
const root = await signRoot(rootJson([alice]), [alice])
test("bit flips: those of a trust root are refused, held as a file", () => {
  assert.deepEqual(
    survivors(root, (flipped) => openTrustChain([flipped], { by: "file" }), every(7)),
    [],
  )
})
test("cuts: no prefix of an envelope or trust root is accepted", () => {
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => parseEnvelope(bytes.subarray(0, length)), { code: "MANIFEST_INVALID" })
  }
  for (let length = 0; length < root.length; length++) {
    assert.throws(() => openTrustChain([root.subarray(0, length)], { by: "file" }), { code: "MANIFEST_INVALID" })
  }
})

const json = (): { payload: string; payloadType: string; signatures: { keyid: string; sig: string }[] } =>
  JSON.parse(Buffer.from(bytes).toString())
const [signature = { keyid: "", sig: "" }] = json().signatures
const many = (count: number): { keyid: string; sig: string }[] =>
  Array.from({ length: count }, (_, i) => ({ keyid: i.toString(16).padStart(64, "0"), sig: "AA==" }))

type Case = readonly [why: string, code: string, value: unknown]
const forms: Case[] = [
  ["no signature", "UNSIGNED", { ...json(), signatures: [] }],
  ["17 signatures", "TOO_LARGE", { ...json(), signatures: many(17) }],
  ["signatures not sorted", "MANIFEST_INVALID", { ...json(), signatures: many(2).toReversed() }],
  ["one key twice", "MANIFEST_INVALID", { ...json(), signatures: [signature, signature] }],
  ["signatures missing", "MANIFEST_INVALID", { payload: json().payload, payloadType: json().payloadType }],
  ["signatures null", "MANIFEST_INVALID", { ...json(), signatures: null }],
  ["signatures an object", "MANIFEST_INVALID", { ...json(), signatures: { 0: signature } }],
  ["a signature without keyid", "MANIFEST_INVALID", { ...json(), signatures: [{ sig: signature.sig }] }],
  [
    "keyid in upper case",
    "MANIFEST_INVALID",
    { ...json(), signatures: [{ ...signature, keyid: signature.keyid.toUpperCase() }] },
  ],
  ["keyid empty", "MANIFEST_INVALID", { ...json(), signatures: [{ ...signature, keyid: "" }] }],
  ["an embedded certificate", "MANIFEST_INVALID", { ...json(), signatures: [{ ...signature, cert: "MII…" }] }],
  ["an embedded key", "MANIFEST_INVALID", { ...json(), publicKey: encodeBase64(alice.publicKey.bytes) }],
  ["sig in base64url", "MANIFEST_INVALID", { ...json(), signatures: [{ ...signature, sig: "_".repeat(86) + "==" }] }],
  [
    "sig without padding",
    "MANIFEST_INVALID",
    { ...json(), signatures: [{ ...signature, sig: signature.sig.replace(/=+$/, "") }] },
  ],
  ["payload in base64url", "MANIFEST_INVALID", { ...json(), payload: "__8=" }],
  [
    "payload with a line break",
    "MANIFEST_INVALID",
    { ...json(), payload: `${json().payload.slice(0, 4)}\n${json().payload.slice(4)}` },
  ],
  ["payloadType missing", "MANIFEST_INVALID", { payload: json().payload, signatures: json().signatures }],
  ["a list", "MANIFEST_INVALID", [json()]],
  ["null", "MANIFEST_INVALID", null],
  [
    "unknown field __proto__",
    "MANIFEST_INVALID",
    JSON.parse(`{"__proto__":{},${Buffer.from(bytes).toString().slice(1)}`),
  ],
]
for (const [why, code, value] of forms) {
  if (JSON.stringify(value) === JSON.stringify(json())) throw new Error(`${why} changes nothing`)
  test(`envelope refused: ${why}`, () => assert.throws(() => parseEnvelope(utf8(JSON.stringify(value))), { code }))
}
test("envelope: 16 signatures are read", () => {
  assert.equal(parseEnvelope(utf8(JSON.stringify({ ...json(), signatures: many(16) }))).signatures.length, 16)
})
test("envelope and bundle: more than 24 MiB are TOO_LARGE before they are looked at", () => {
  const large = new Uint8Array(limits.envelope + 1)
  assert.throws(() => parseEnvelope(large), { code: "TOO_LARGE" })
  assert.throws(() => parseBundle(large), { code: "TOO_LARGE" })
})
test("envelope: one with a payload of 16 MiB is read", () => {
  const payload = new Uint8Array(limits.payload)
  assert.equal(parseEnvelope(formatEnvelope({ ...envelope, payload })).payload.length, limits.payload)
})
for (const other of [
  "application/json",
  "application/vnd.weighlock.bundle.v2+json",
  "",
  "APPLICATION/VND.WEIGHLOCK.BUNDLE.V1+JSON",
]) {
  test(`bundle refused: media type ${JSON.stringify(other)}`, () => {
    const value = { ...JSON.parse(Buffer.from(formatBundle({ envelope })).toString()), mediaType: other } as JsonValue
    assert.throws(() => parseBundle(canonicalJson(value)), { code: "MANIFEST_INVALID" })
  })
}

test("PAE: the DSSE specification's example", () => {
  const expected = "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
  assert.equal(Buffer.from(preAuthEncoding("http://example.com/HelloWorld", utf8("hello world"))).toString(), expected)
})
test("PAE: lengths are of bytes, and moving a byte between type and payload changes it", () => {
  assert.equal(Buffer.from(preAuthEncoding("é", utf8("ß"))).toString(), "DSSEv1 2 é 2 ß")
  assert.notDeepEqual(preAuthEncoding("a b", utf8("c")), preAuthEncoding("a", utf8("b c")))
})

const withSignature = (sig: Uint8Array): Envelope => ({
  ...envelope,
  signatures: [{ keyid: alice.publicKey.keyid, sig }],
})
const good = envelope.signatures[0]?.sig ?? new Uint8Array(0)
/** S + L: the same equation modulo the group order, so a lax verifier accepts it too. */
function plusOrder(sig: Uint8Array): Uint8Array {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  let s = BigInt(`0x${Buffer.from(sig.subarray(32)).reverse().toString("hex")}`) + order
  const changed = Uint8Array.from(sig)
  for (let at = 32; at < 64; at++, s >>= 8n) changed[at] = Number(s & 0xffn)
  return changed
}
const zeros = (length: number): Uint8Array => new Uint8Array(length)
const signatures: [string, Uint8Array][] = [
  ["malleable S (S + L)", plusOrder(good)],
  ["cut to 63 bytes", good.subarray(0, 63)],
  ["one byte longer", Uint8Array.of(...good, 0)],
  ["empty", zeros(0)],
  ["all zero", zeros(64)],
  ["R and S swapped", Uint8Array.of(...good.subarray(32), ...good.subarray(0, 32))],
  ["R the identity, S zero", Uint8Array.of(1, ...zeros(63))],
]
for (const [why, sig] of signatures) {
  test(`signature refused: ${why}`, () => {
    assert.throws(() => check(chain, withSignature(sig)), { code: "SIGNATURE_INVALID" })
  })
}
test("signature refused: over the bare payload, without PAE", async () => {
  const sig = await alice.sign(envelope.payload)
  assert.throws(() => check(chain, withSignature(sig)), { code: "SIGNATURE_INVALID" })
})
test("signature refused: Ed25519 of the payload's hash", async () => {
  const digest = new Uint8Array(
    await crypto.subtle.digest("SHA-256", preAuthEncoding(statementPayloadType, envelope.payload)),
  )
  const sig = await alice.sign(digest)
  assert.throws(() => check(chain, withSignature(sig)), { code: "SIGNATURE_INVALID" })
})
test("replay: a manifest signed as another record type is refused, relabelled or not", async () => {
  const payload = makeStatement(draft())
  for (const payloadType of [
    trustRootPayloadType,
    "application/vnd.weighlock.revocation.v1+json",
    "application/json",
    "",
  ]) {
    const other = await signEnvelope({ payloadType, payload }, [alice])
    assert.throws(() => check(chain, other), { code: "MANIFEST_INVALID" })
    assert.throws(() => check(chain, { ...other, payloadType: statementPayloadType }), { code: "SIGNATURE_INVALID" })
  }
})
test("replay: a trust root signed as a manifest is no trust root", async () => {
  const payload = canonicalJson(rootJson([alice]))
  const other = await signEnvelope({ payloadType: statementPayloadType, payload }, [alice])
  const pin = { by: "file" } as const
  assert.throws(() => openTrustChain([formatEnvelope(other)], pin), { code: "MANIFEST_INVALID" })
  const relabelled = { ...other, payloadType: trustRootPayloadType }
  assert.throws(() => openTrustChain([formatEnvelope(relabelled)], pin), { code: "SIGNATURE_INVALID" })
})
test("replay: the signature of one manifest does not serve another", async () => {
  const other = await signDraft([alice], { version: "1.2.1" })
  assert.throws(() => check(chain, { ...other, signatures: envelope.signatures }), { code: "SIGNATURE_INVALID" })
})
test("wrong keyid: a signature under someone else's id", async () => {
  const bob = ed25519Signer()
  const both = await makeChain([alice, bob])
  const stolen = { ...envelope, signatures: [{ keyid: bob.publicKey.keyid, sig: good }] }
  assert.throws(() => check(both, stolen), { code: "SIGNATURE_INVALID" })
})
test("signEnvelope keeps a signature that is there, adds the others, and sorts", async () => {
  const signers: Signer[] = [alice, ...Array.from({ length: 5 }, ed25519Signer)]
  const more = await signEnvelope(envelope, signers)
  const ids = more.signatures.map(({ keyid }) => keyid)
  assert.deepEqual(ids, signers.map(({ publicKey }) => publicKey.keyid).toSorted())
  assert.deepEqual(parseEnvelope(formatEnvelope(more)).signatures.length, 6)
  assert.equal(more.signatures.find(({ keyid }) => keyid === alice.publicKey.keyid)?.sig, good)
})
