/**
 * Whose certificate it was: chains that hold, and for every reason not to believe one a chain that is good but for that.
 * X.509 by hand, so that each can be made; the chains that openssl made are in test/vectors/oms.
 */
import assert from "node:assert/strict"
import { generateKeyPairSync } from "node:crypto"
import { test } from "node:test"
import { CodedError } from "@weighlock/manifest"
import { openOms, openCertificateChain, parseRoots } from "@weighlock/manifest/node"
import { codeSigning, ecKey, issue, type Made, pemOf, serverAuth } from "../support/certificate.ts"
import { bytesOf, chainMaterial, readOms, signedBundle, statementOf } from "../support/oms.ts"
import { codeOf } from "../support/temp.ts"

const now = new Date()
const day = 86_400_000
const before = (days: number): Date => new Date(now.getTime() - days * day)

const root = issue({ subject: "Root", authority: true })
const middle = issue({ subject: "Middle", authority: true, pathLength: 0, issuer: root })
const signer = issue({ subject: "Signer", issuer: middle })
const keyUse = ecKey()

function open(
  chain: readonly Made[],
  roots: readonly Made[] = [root],
  at = now,
): ReturnType<typeof openCertificateChain> {
  return openCertificateChain(
    chain.map(({ der }) => der),
    parseRoots(roots.map(pemOf).join(""), "roots"),
    at,
  )
}

test("a chain that holds says whose it is", () => {
  const { subject, root: top, key, fingerprint } = open([signer, middle])
  assert.deepEqual([subject, top, key.type, fingerprint.length], ["CN=Signer", "CN=Root", "ecdsa-p256", 64])
})

test("so do one without authorities between, in another order, with its root, and up to a middle that is trusted", () => {
  open([issue({ subject: "Direct", issuer: root })])
  const third = issue({ subject: "Third", authority: true, issuer: root })
  const second = issue({ subject: "Second", authority: true, issuer: third })
  open([issue({ subject: "Deep", issuer: second }), third, root, second])
  open([signer], [middle])
  open([signer, middle], [issue({ subject: "Another", authority: true }), root])
})

test("how a root is signed does not matter, nor that an authority's helper is of no use", () => {
  open([signer, middle], [issue({ subject: "Root", key: root.key, authority: true, hash: "sha1" })])
  open([signer, issue({ subject: "Middle", authority: true, key: ecKey(), issuer: root }), middle])
})

test("so does one of Ed25519 and P-384 keys", () => {
  const { key } = open([issue({ subject: "Edwards", issuer: root, key: generateKeyPairSync("ed25519").privateKey })])
  assert.equal(key.type, "ed25519")
  open([issue({ subject: "P-384", issuer: root, key: ecKey("P-384") })])
})

const twin = issue({ subject: "Root", authority: true })
const nameConstraints = "551d1e"
const refused: Readonly<Record<string, readonly [chain: readonly Made[], because: RegExp, roots?: readonly Made[]]>> = {
  "no root has issued it": [[signer, middle], /no root that you trust/, [issue({ subject: "Other", authority: true })]],
  "a root of the same name": [[signer, middle], /has not signed it/, [twin]],
  "an authority of the same name": [
    [signer, issue({ subject: "Middle", authority: true, issuer: root })],
    /not signed/,
  ],
  "the middle is missing": [[signer], /no root that you trust/],
  "signed by itself": [[issue({ subject: "Self" })], /no root that you trust/],
  "signed by itself, as its own root": [
    [issue({ subject: "Root", key: root.key, issuer: root })],
    /no root that you trust/,
    [issue({ subject: "Root", key: root.key })],
  ],
  expired: [[issue({ subject: "Old", issuer: root, from: before(9), to: before(1) })], /expired at/],
  "not yet valid": [[issue({ subject: "New", issuer: root, from: before(-1) })], /not valid before/],
  "expired in the middle": oldMiddle(),
  "expired at the root": oldRoot(),
  "for servers": [[issue({ subject: "S", issuer: root, purposes: [serverAuth] })], /not for code signing/],
  "for any purpose": [[issue({ subject: "S", issuer: root, purposes: ["551d2500"] })], /not for code signing/],
  "for no purpose named": [[issue({ subject: "S", issuer: root, purposes: null })], /not for code signing/],
  "not for signatures": [[issue({ subject: "S", issuer: root, usage: 0x20 })], /not for digital signatures/],
  "an authority's own": [
    [issue({ subject: "S", issuer: root, authority: true, usage: 0x84, purposes: [codeSigning] })],
    /authority's own/,
  ],
  "issued by no authority": byMiddle({ authority: false, usage: 0x84 }, /not a certificate authority/),
  "issued by one that may not sign certificates": byMiddle(
    { authority: true, usage: 0x80 },
    /no root that you trust|may not sign/,
  ),
  "issued by one for servers": byMiddle({ authority: true, purposes: [serverAuth] }, /not for code signing/),
  "too far below its authority": tooFar(),
  "signed by someone else": [[issue({ subject: "S", issuer: root, forger: keyUse })], /has not signed it/],
  "signed with SHA-1": [[issue({ subject: "S", issuer: root, hash: "sha1" })], /too weak/],
  "issued with SHA-1": byMiddle({ authority: true, hash: "sha1" }, /its issuer CN=Doubtful is signed .* too weak/),
  "with an unknown critical extension": [
    [issue({ subject: "S", issuer: root, extensions: [{ oid: "2a0304", critical: true, value: Buffer.alloc(2) }] })],
    /not judged here/,
  ],
  "below name constraints": byMiddle(
    { authority: true, extensions: [{ oid: nameConstraints, critical: false, value: Buffer.from("3000", "hex") }] },
    /not judged here/,
  ),
}

function byMiddle(wish: Partial<Parameters<typeof issue>[0]>, because: RegExp): readonly [readonly Made[], RegExp] {
  const middle = issue({ subject: "Doubtful", issuer: root, ...wish })
  return [[issue({ subject: "S", issuer: middle }), middle], because]
}

function oldMiddle(): readonly [readonly Made[], RegExp] {
  return byMiddle({ authority: true, from: before(9), to: before(1) }, /its issuer CN=Doubtful expired at/)
}

function oldRoot(): readonly [readonly Made[], RegExp, readonly Made[]] {
  const root = issue({ subject: "Old root", authority: true, from: before(9), to: before(1) })
  return [[issue({ subject: "S", issuer: root })], /its issuer CN=Old root expired at/, [root]]
}

function tooFar(): readonly [readonly Made[], RegExp] {
  const lower = issue({ subject: "Lower", authority: true, issuer: middle })
  return [[issue({ subject: "S", issuer: lower }), lower, middle], /authorities below it/]
}

for (const [name, [chain, because, roots]] of Object.entries(refused)) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => open(chain, roots),
      (error) => {
        assert.ok(error instanceof CodedError)
        assert.equal(error.code, "SIGNER_UNTRUSTED")
        assert.match(error.message, because)
        return true
      },
    )
  })
}

test("refused: a key that nobody signs models with", async () => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  assert.equal(await codeOf(() => open([issue({ subject: "R", issuer: root, key: privateKey })])), "KEY_WEAK")
})

test("a dozen authorities that all issue each other end soon", async () => {
  const key = ecKey()
  const loops = Array.from({ length: 15 }, () =>
    issue({ subject: "Loop", key, authority: true, issuer: { subject: "Loop", key, der: Buffer.alloc(0) } }),
  )
  const chain = [issue({ subject: "S", issuer: loops[0]! }), ...loops]
  assert.equal(await codeOf(() => open(chain)), "SIGNER_UNTRUSTED")
})

test("bytes that are no certificate, or more than one, are refused", async () => {
  const { der } = signer
  const bad = [Buffer.alloc(0), Buffer.from("hello"), der.subarray(1), Buffer.concat([der, Buffer.of(0)])]
  for (const bytes of bad)
    assert.equal(await codeOf(() => openCertificateChain([bytes], [], now)), "MANIFEST_INVALID", bytes.toString("hex"))
})

test("no cut and no flipped bit of a certificate is believed", () => {
  const roots = parseRoots(pemOf(root), "roots")
  for (let at = 0; at < middle.der.length; at++) {
    const changed = Buffer.from(middle.der)
    changed[at] = (changed[at] ?? 0) ^ 1
    for (const helper of [changed, middle.der.subarray(0, at)])
      assert.throws(() => openCertificateChain([signer.der, helper], roots, now), CodedError, `${at}`)
  }
})

test("roots without a certificate are refused", async () => {
  for (const pem of ["", "hello", readOms("p256.pub.pem").toString()])
    assert.equal(await codeOf(() => parseRoots(pem, "roots.pem")), "USAGE")
  const broken = pemOf(root).replace("MII", "MIJ")
  assert.equal(await codeOf(() => parseRoots(broken, "roots.pem")), "MANIFEST_INVALID")
})

test("a bundle by certificate is believed with the roots and not without", async () => {
  const trust = { by: "certificate", roots: parseRoots(pemOf(root), "roots") } as const
  const statement = statementOf({ "a.txt": "alpha" })
  const bundle = signedBundle(statement, signer.key, { material: chainMaterial([signer.der, middle.der]) })
  const { signer: found } = openOms(bytesOf(bundle), trust, now)
  assert.ok(found.method === "certificate" && found.subject === "CN=Signer" && found.root === "CN=Root")
  const others = { by: "certificate", roots: parseRoots(pemOf(twin), "roots") } as const
  assert.equal(await codeOf(() => openOms(bytesOf(bundle), others, now)), "SIGNER_UNTRUSTED")
  const later = new Date(now.getTime() + 800 * day)
  assert.equal(await codeOf(() => openOms(bytesOf(bundle), trust, later)), "SIGNER_UNTRUSTED")
  const stolen = signedBundle(statement, keyUse, { material: chainMaterial([signer.der, middle.der]) })
  assert.equal(await codeOf(() => openOms(bytesOf(stolen), trust, now)), "SIGNATURE_INVALID")
})
