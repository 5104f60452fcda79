/** Private keys as files: openssl reads ours, we read openssl's, and no file costs minutes or is read when others can. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto"
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { publicKeyPem, verifySignature } from "@weighlock/manifest"
import {
  formatPrivateKey,
  generateEd25519,
  isEncryptedPem,
  parsePrivateKey,
  readKeyFile,
  signerFor,
} from "@weighlock/manifest/node"
import { utf8 } from "../support/trust.ts"
import { tempFolder } from "../support/temp.ts"

const bad = { code: "KEY_FILE_INVALID" }
const message = utf8("message")
const ed = generateEd25519()
const ec: KeyObject = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
const openssl = (input: string | Buffer, ...args: string[]): string =>
  execFileSync("openssl", args, { input, stdio: ["pipe", "pipe", "pipe"] }).toString()
/** Of this process's own time, in which no other can have a part: a derivation that was begun takes many times as much. */
const within = (ms: number, run: () => unknown): void => {
  const before = process.cpuUsage()
  assert.throws(run, bad)
  const { user } = process.cpuUsage(before)
  assert.ok(user < ms * 1000, `took ${user / 1000} ms`)
}

for (const [type, key] of [
  ["Ed25519", ed],
  ["P-256", ec],
] as const) {
  const { publicKey } = signerFor(key)
  test(`${type}: openssl opens what we encrypt, and finds the same public key`, () => {
    const pem = formatPrivateKey(key, "pass phrase é")
    assert.equal(openssl(pem, "pkey", "-pubout", "-passin", "pass:pass phrase é"), publicKeyPem(publicKey))
    assert.throws(() => openssl(pem, "pkey", "-pubout", "-passin", "pass:other"))
  })
  test(`${type}: openssl reads what we leave in the clear`, () => {
    assert.equal(openssl(formatPrivateKey(key, null), "pkey", "-pubout"), publicKeyPem(publicKey))
  })
  for (const [how, ...options] of [
    ["scrypt", "-scrypt"],
    ["PBKDF2", "-v2", "aes-256-cbc"],
    ["PBKDF2 with SHA-512", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"],
  ] as const) {
    test(`${type}: we open what openssl encrypts (${how}), and sign with it`, async () => {
      const pem = openssl(formatPrivateKey(key, null), "pkcs8", "-topk8", ...options, "-passout", "pass:secret")
      const signer = parsePrivateKey(pem, "secret")
      assert.equal(signer.publicKey.keyid, publicKey.keyid)
      assert.ok(verifySignature(publicKey, await signer.sign(message), message))
      assert.throws(() => parsePrivateKey(pem, "Secret"), bad)
    })
  }
  test(`${type}: we open what openssl made`, () => {
    const algorithm =
      type === "P-256" ? ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"] : ["-algorithm", "ED25519"]
    parsePrivateKey(openssl("", "genpkey", ...algorithm), null)
  })
}

test("ours is PBES2 with scrypt N=16384 r=8 p=5 and AES-256-CBC, as openssl sees it, and never twice the same", () => {
  const pem = formatPrivateKey(ed, "secret")
  assert.ok(pem.startsWith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n") && isEncryptedPem(pem))
  const parsed = openssl(pem, "asn1parse")
  assert.match(parsed, /PBES2[^]*:1\.3\.6\.1\.4\.1\.11591\.4\.11|PBES2[^]*scrypt/)
  assert.match(parsed, /INTEGER\s+:4000\b[^]*INTEGER\s+:08\b[^]*INTEGER\s+:05\b[^]*aes-256-cbc/)
  assert.notEqual(pem, formatPrivateKey(ed, "secret"))
  assert.ok(!pem.includes(formatPrivateKey(ed, null).split("\n")[1] ?? ""))
})
test("an empty passphrase is refused", () => assert.throws(() => formatPrivateKey(ed, ""), { code: "USAGE" }))

test("wrong passphrase, none, empty: refused, and the message holds no secret", () => {
  const pem = formatPrivateKey(ed, "secret")
  for (const other of ["Secret", "secret ", "", null, "\0secret"]) {
    assert.throws(
      () => parsePrivateKey(pem, other),
      (error: Error & { code: string }) => {
        assert.equal(error.code, "KEY_FILE_INVALID")
        assert.ok(!/secret/i.test(`${error.message} ${String(error.cause)}`))
        return true
      },
    )
  }
})

// DER by hand, so that the costs can be anything.
const der = (tag: number, ...content: Uint8Array[]): Buffer => {
  const body = Buffer.concat(content)
  const length = body.length < 0x80 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}
const seq = (...content: Uint8Array[]): Buffer => der(0x30, ...content)
const int = (value: bigint): Buffer => {
  const digits = value.toString(16)
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex")
  return der(0x02, (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes)
}
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, "hex"))
const pbes2 = (kdf: Buffer, body: Buffer = Buffer.alloc(64)): string => {
  const cipher = seq(oid("60864801650304012a"), der(0x04, Buffer.alloc(16)))
  const info = seq(seq(oid("2a864886f70d01050d"), seq(kdf, cipher)), der(0x04, body))
  const lines = info.toString("base64").match(/.{1,64}/g) ?? []
  return `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${lines.join("\n")}\n-----END ENCRYPTED PRIVATE KEY-----\n`
}
const salt = der(0x04, Buffer.alloc(16))
const scrypt = (n: bigint, r: bigint, p: bigint): string =>
  pbes2(seq(oid("2b06010401da47040b"), seq(salt, int(n), int(r), int(p))))
const pbkdf2 = (count: bigint, ...more: Buffer[]): string =>
  pbes2(seq(oid("2a864886f70d01050c"), seq(salt, int(count), ...more)))

const absurd = {
  "scrypt N = 2^30": scrypt(2n ** 30n, 8n, 1n),
  "scrypt N = 2^62": scrypt(2n ** 62n, 8n, 1n),
  "scrypt p = 2^30": scrypt(16384n, 8n, 2n ** 30n),
  "scrypt p = 2^80": scrypt(16384n, 8n, 2n ** 80n),
  "scrypt r = 2^29": scrypt(2n, 2n ** 29n, 1n),
  "scrypt r = 2^20, p = 16": scrypt(2n, 2n ** 20n, 16n),
  "PBKDF2 2^31 times": pbkdf2(2n ** 31n),
  "PBKDF2 2^62 times": pbkdf2(2n ** 62n),
  "PBKDF2 11 million times": pbkdf2(11_000_000n),
  "PBKDF2 2^31 times, key length first": pbkdf2(2n ** 31n, int(32n)),
  "PBES1 with DES": `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${seq(seq(oid("2a864886f70d010503"), seq(salt, int(2n ** 31n))), der(4, Buffer.alloc(64))).toString("base64")}\n-----END ENCRYPTED PRIVATE KEY-----\n`,
  "no DER": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
  "DER that lies about its length":
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIQ/////\n-----END ENCRYPTED PRIVATE KEY-----\n",
  "nothing inside": "-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n",
}
for (const [why, pem] of Object.entries(absurd)) {
  test(`absurd derivation refused in no time: ${why}`, () => within(500, () => parsePrivateKey(pem, "secret")))
}
test("absurd derivation refused in no time: behind a cheap block or text that is judged instead", () => {
  const cheap = formatPrivateKey(ed, "secret")
  const dear = pbkdf2(2n ** 31n)
  const certificate = cheap.replaceAll("ENCRYPTED PRIVATE KEY", "CERTIFICATE")
  const naked = cheap.split("\n").slice(1, -2).join("\n")
  for (const pem of [certificate + dear, `${naked}\n${dear}`, dear + cheap, cheap + dear, dear + certificate]) {
    within(500, () => parsePrivateKey(pem, "secret"))
  }
})

const wrong = {
  RSA: generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey,
  "P-384": generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey,
  secp256k1: generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey,
  Ed448: generateKeyPairSync("ed448").privateKey,
  X25519: generateKeyPairSync("x25519").privateKey,
}
for (const [why, key] of Object.entries(wrong)) {
  const pem = key.export({ type: "pkcs8", format: "pem" }).toString()
  test(`key refused: ${why}`, () => assert.throws(() => parsePrivateKey(pem, null), bad))
}
const texts = {
  empty: "",
  "a public key": publicKeyPem(signerFor(ed).publicKey),
  "no PEM": "hello",
  "an OpenSSH key":
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
  "cut short": formatPrivateKey(ed, null).slice(0, 80),
}
for (const [why, pem] of Object.entries(texts)) {
  test(`key refused: ${why}`, () => assert.throws(() => parsePrivateKey(pem, null), bad))
}

for (const mode of [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o777]) {
  test(`files refused: mode ${mode.toString(8)}`, async (t) => {
    const path = join(tempFolder(t), "key.pem")
    writeFileSync(path, formatPrivateKey(ed, null))
    chmodSync(path, mode)
    await assert.rejects(readKeyFile(path), bad)
  })
}
for (const mode of [0o600, 0o400, 0o700]) {
  test(`files: mode ${mode.toString(8)} is read`, async (t) => {
    const path = join(tempFolder(t), "key.pem")
    writeFileSync(path, "x", { mode })
    assert.equal(await readKeyFile(path), "x")
  })
}
test("files refused: absent, a folder, a FIFO, a device, a link to a wide one, 16 KiB and more", async (t) => {
  const folder = tempFolder(t)
  const at = (name: string): string => join(folder, name)
  mkdirSync(at("folder"), { mode: 0o700 })
  execFileSync("mkfifo", ["-m", "600", at("fifo")])
  writeFileSync(at("wide"), "x", { mode: 0o644 })
  symlinkSync(at("wide"), at("link"))
  writeFileSync(at("large"), "x".repeat(16_385), { mode: 0o600 })
  for (const path of [at("absent"), at("folder"), at("fifo"), "/dev/zero", at("link"), at("large")]) {
    await assert.rejects(readKeyFile(path), bad, path)
  }
})
test("the public half is derived: a PKCS#8 v2 file that claims another public key is not believed", () => {
  const plain = ed.export({ type: "pkcs8", format: "der" })
  const other = signerFor(generateEd25519()).publicKey
  // RFC 5958: version 1, and [1] with a public key of the attacker's choice
  const body = Buffer.concat([Buffer.from([2, 1, 1]), plain.subarray(5), Buffer.from([0x81, 0x21, 0x00]), other.bytes])
  const pem = `-----BEGIN PRIVATE KEY-----\n${seq(body).toString("base64")}\n-----END PRIVATE KEY-----\n`
  let keyid = "refused"
  try {
    keyid = parsePrivateKey(pem, null).publicKey.keyid
  } catch (error) {
    assert.equal((error as { code: string }).code, "KEY_FILE_INVALID")
  }
  assert.notEqual(keyid, other.keyid)
  assert.equal(createHash("sha256").update(publicKeyPem(other)).digest("hex"), other.keyid)
})
