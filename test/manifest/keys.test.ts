/** Public keys: what enrolment refuses, keyids as openssl and Sigstore make them, and state that nobody may swap. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { createHash, createPublicKey, generateKeyPairSync, sign } from "node:crypto"
import { test } from "node:test"
import { hashes, Point } from "@noble/ed25519"
import { enrolKey, enrolSpki, type KeyType, publicKeyPem, verifySignature } from "@weighlock/manifest"
import { ed25519Signer, p256Signer, utf8 } from "../support/trust.ts"

const weak = { code: "KEY_WEAK" }
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"))

// The eight points of small order, and the other encodings of them that a lax decoder takes (Chalkias et al. 2020, table 5).
const smallOrder = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
const nonCanonical = [
  "0100000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
for (const key of smallOrder)
  test(`key refused: small order ${key.slice(0, 8)}…${key.slice(-2)}`, () =>
    assert.throws(() => enrolKey("ed25519", hex(key)), weak))
for (const key of nonCanonical)
  test(`key refused: not canonical ${key.slice(0, 4)}…${key.slice(-2)}`, () =>
    assert.throws(() => enrolKey("ed25519", hex(key)), weak))

test("key refused: mixed order, a good key plus each point of small order", () => {
  const good = Point.fromBytes(ed25519Signer().publicKey.bytes)
  for (const torsion of smallOrder.slice(1)) {
    const mixed = good.add(Point.fromBytes(hex(torsion))).toBytes()
    assert.throws(() => enrolKey("ed25519", mixed), weak, torsion)
  }
})
test("key refused: not on the curve", () => {
  assert.throws(() => enrolKey("ed25519", hex("02".padEnd(64, "0"))), weak)
})

const ed = ed25519Signer()
const ec = p256Signer()
const { spki } = ec.publicKey
const changed = (bytes: Uint8Array, at: number, value: number): Uint8Array => bytes.with(at, value)
const spkiOf = (options: "x25519" | "ed448" | { namedCurve: string } | "rsa"): Uint8Array => {
  const pair =
    options === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : typeof options === "string"
        ? generateKeyPairSync(options as "x25519")
        : generateKeyPairSync("ec", options)
  return Uint8Array.from(pair.publicKey.export({ type: "spki", format: "der" }))
}
const compressed = (): Uint8Array => {
  const point = spki.subarray(26)
  const sign = (point[64] ?? 0) % 2 === 0 ? 2 : 3
  return Uint8Array.of(...hex("3039301306072a8648ce3d020106082a8648ce3d030107032200"), sign, ...point.subarray(1, 33))
}
const refused: [string, KeyType, Uint8Array][] = [
  ["Ed25519 of 31 bytes", "ed25519", ed.publicKey.bytes.subarray(0, 31)],
  ["Ed25519 of 33 bytes", "ed25519", Uint8Array.of(...ed.publicKey.bytes, 0)],
  ["Ed25519 empty", "ed25519", new Uint8Array(0)],
  ["Ed25519 given its SPKI", "ed25519", ed.publicKey.spki],
  ["Ed25519 SPKI enrolled as P-256", "ecdsa-p256", ed.publicKey.spki],
  ["P-256 SPKI enrolled as Ed25519", "ed25519", spki],
  ["P-256 the bare point", "ecdsa-p256", spki.subarray(26)],
  ["P-256 compressed", "ecdsa-p256", compressed()],
  ["P-256 off the curve", "ecdsa-p256", changed(spki, 90, (spki[90] ?? 0) ^ 1)],
  [
    "P-256 x beyond the field",
    "ecdsa-p256",
    Uint8Array.of(...spki.subarray(0, 27), ...new Uint8Array(32).fill(255), ...spki.subarray(59)),
  ],
  ["P-256 at infinity", "ecdsa-p256", Uint8Array.of(...spki.subarray(0, 26), ...new Uint8Array(65))],
  ["P-256 hybrid form", "ecdsa-p256", changed(spki, 26, 6 + ((spki[90] ?? 0) & 1))],
  ["P-256 with a trailing byte", "ecdsa-p256", Uint8Array.of(...spki, 0)],
  ["P-256 with unused bits", "ecdsa-p256", changed(spki, 25, 1)],
  ["P-384", "ecdsa-p256", spkiOf({ namedCurve: "P-384" })],
  ["secp256k1", "ecdsa-p256", spkiOf({ namedCurve: "secp256k1" })],
  ["RSA", "ecdsa-p256", spkiOf("rsa")],
  ["Ed448", "ecdsa-p256", spkiOf("ed448")],
  ["X25519", "ecdsa-p256", spkiOf("x25519")],
]
for (const [why, type, bytes] of refused) {
  test(`key refused: ${why}`, () => assert.throws(() => enrolKey(type, bytes), weak))
}
for (const [why, bytes] of [
  ["X25519", spkiOf("x25519")],
  ["Ed448", spkiOf("ed448")],
  ["RSA", spkiOf("rsa")],
  ["nothing", new Uint8Array(0)],
] as const) {
  test(`SPKI refused: ${why}`, () => assert.throws(() => enrolSpki(bytes), weak))
}

for (const { publicKey } of [ed, ec]) {
  test(`keyid: SHA-256 of the PEM that openssl writes (${publicKey.type})`, () => {
    const pem = execFileSync("openssl", ["pkey", "-pubin", "-inform", "DER"], { input: publicKey.spki }).toString()
    assert.equal(publicKeyPem(publicKey), pem)
    assert.equal(publicKey.keyid, createHash("sha256").update(pem).digest("hex"))
    assert.equal(enrolSpki(publicKey.spki).keyid, publicKey.keyid)
    assert.equal(createPublicKey(pem).export({ type: "spki", format: "der" }).equals(publicKey.spki), true)
  })
}
test("enrolled bytes are a copy: changing the source changes nothing", () => {
  const source = Uint8Array.from(ed.publicKey.bytes)
  const key = enrolKey("ed25519", source)
  source.fill(0)
  assert.deepEqual(key.bytes, ed.publicKey.bytes)
})

test("noble's hash functions are frozen: no other code can make every forgery pass", () => {
  assert.ok(Object.isFrozen(hashes))
  assert.throws(() => {
    hashes.sha512 = () => new Uint8Array(64)
  }, TypeError)
})

const message = utf8("the message")
test("P-256: a good signature holds; another digest, P1363 form, BER length or trailing byte does not", async () => {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const key = enrolSpki(Uint8Array.from(pair.publicKey.export({ type: "spki", format: "der" })))
  const good = Uint8Array.from(sign("sha256", message, pair.privateKey))
  assert.equal(verifySignature(key, good, message), true)
  const others = {
    sha512: sign("sha512", message, pair.privateKey),
    P1363: sign("sha256", message, { key: pair.privateKey, dsaEncoding: "ieee-p1363" }),
    trailing: Uint8Array.of(...good, 0),
    ber: Uint8Array.of(0x30, 0x81, ...good.subarray(1)),
    "leading zero": Uint8Array.of(0x30, (good[1] ?? 0) + 1, 2, (good[3] ?? 0) + 1, 0, ...good.subarray(4)),
    zero: Uint8Array.of(0x30, 6, 2, 1, 0, 2, 1, 0),
    "r = s = 1": Uint8Array.of(0x30, 6, 2, 1, 1, 2, 1, 1),
    empty: new Uint8Array(0),
  }
  for (const [why, other] of Object.entries(others)) assert.equal(verifySignature(key, other, message), false, why)
})
test("a signature of one key type never holds for a key of the other", async () => {
  const [a, b] = [await ed.sign(message), await ec.sign(message)]
  assert.deepEqual([verifySignature(ed.publicKey, a, message), verifySignature(ec.publicKey, b, message)], [true, true])
  assert.deepEqual(
    [verifySignature(ed.publicKey, b, message), verifySignature(ec.publicKey, a, message)],
    [false, false],
  )
})
