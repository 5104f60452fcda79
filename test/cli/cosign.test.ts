/** `--cosign-p256` takes a P-256 key in every form that openssl writes one, and says of any other what is wrong with it. */
import assert from "node:assert/strict"
import { generateKeyPairSync, type KeyObject } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { test, type TestContext } from "node:test"
import { type EnvelopeSignature, parseEnvelope } from "@weighlock/manifest"
import { Cli } from "../support/cli.ts"

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
const [cipher, passphrase] = ["aes-256-cbc", "correct horse"]
const sec1 = privateKey.export({ type: "sec1", format: "pem" }).toString()
const pkcs8 = privateKey.export({ type: "pkcs8", format: "pem" }).toString()

async function workplace(t: TestContext): Promise<Cli> {
  const cli = new Cli()
  t.after(() => cli.close())
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  cli.env["WEIGHLOCK_TRUST"] = cli.path("reg", "trust.json")
  writeFileSync(cli.path("model.bin"), "a model of sorts")
  writeFileSync(cli.path("cosign.pub"), publicKey.export({ type: "spki", format: "pem" }))
  return cli
}

const sign = ["sign", "model.bin", "--as", "acme/thing@1.0.0", "--cosign-p256", "cosign.pem", "-o", "signed.json"]

function write(cli: Cli, pem: string | Buffer): void {
  writeFileSync(cli.path("cosign.pem"), pem, { mode: 0o600 })
}

const good: Readonly<Record<string, string | Buffer>> = {
  "SEC1, openssl ecparam -genkey -noout": sec1,
  "SEC1 after the curve, openssl ecparam -genkey": `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${sec1}`,
  "PKCS#8, openssl genpkey": pkcs8,
  "PKCS#8 encrypted": privateKey.export({ type: "pkcs8", format: "pem", cipher, passphrase }),
}
for (const [name, pem] of Object.entries(good)) {
  test(`taken: ${name}`, async (t) => {
    const cli = await workplace(t)
    cli.env["WEIGHLOCK_COSIGN_PASSPHRASE"] = passphrase
    write(cli, pem)
    await cli.json(...sign)
    await cli.json("export", "signed.json", "--sigstore", "--signature", "p256", "-o", "model.sig")
    const { files } = await cli.json("verify", "model.bin", "--bundle", "model.sig", "--key-file", "cosign.pub")
    assert.equal(files, 1)
  })
}

const other = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString()
const bad: Readonly<Record<string, readonly [pem: string | Buffer, exit: number, code: string]>> = {
  "encrypted in the old way": [
    privateKey.export({ type: "sec1", format: "pem", cipher, passphrase }),
    8,
    "KEY_FILE_INVALID",
  ],
  "on another curve": [other(generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey), 8, "KEY_FILE_INVALID"],
  Ed25519: [other(generateKeyPairSync("ed25519").privateKey), 2, "USAGE"],
  "a public key": [publicKey.export({ type: "spki", format: "pem" }), 8, "KEY_FILE_INVALID"],
  "no key": ["hello", 8, "KEY_FILE_INVALID"],
}
for (const [name, [pem, exit, code]] of Object.entries(bad)) {
  test(`refused: ${name}`, async (t) => {
    const cli = await workplace(t)
    write(cli, pem)
    assert.deepEqual(await cli.refusal(...sign), { exit, code })
  })
}

test("the passphrase of one's own key does not open it, and none is asked for where nobody is", async (t) => {
  const cli = await workplace(t)
  write(cli, privateKey.export({ type: "pkcs8", format: "pem", cipher, passphrase }))
  cli.env["WEIGHLOCK_PASSPHRASE"] = passphrase
  assert.deepEqual(await cli.refusal(...sign), { exit: 2, code: "USAGE" })
  cli.env["WEIGHLOCK_COSIGN_PASSPHRASE"] = "wrong"
  assert.deepEqual(await cli.refusal(...sign), { exit: 8, code: "KEY_FILE_INVALID" })
  writeFileSync(cli.path("secret"), `${passphrase}\n`)
  delete cli.env["WEIGHLOCK_COSIGN_PASSPHRASE"]
  cli.env["WEIGHLOCK_COSIGN_PASSPHRASE_FILE"] = cli.path("secret")
  await cli.json(...sign)
})

test("--signature takes exactly one of several", async (t) => {
  const cli = await workplace(t)
  write(cli, pkcs8)
  await cli.json(...sign)
  const second = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
  write(cli, second.export({ type: "sec1", format: "pem" }))
  await cli.json("sign", "model.bin", "--envelope", "signed.json", "--cosign-p256", "cosign.pem", "-o", "three.json")
  const { signatures } = parseEnvelope(readFileSync(cli.path("three.json")))
  assert.equal(signatures.length, 3)
  const exported = ["export", "three.json", "--sigstore", "--signature"]
  assert.deepEqual(await cli.refusal(...exported, "p256"), { exit: 2, code: "USAGE" })
  assert.deepEqual(await cli.refusal(...exported, "0".repeat(64)), { exit: 3, code: "NOT_FOUND" })
  for (const { keyid } of signatures satisfies readonly EnvelopeSignature[]) {
    const { stdout } = await cli.run(...exported, keyid)
    const { verificationMaterial } = JSON.parse(stdout) as { verificationMaterial: { publicKey: { hint: string } } }
    assert.equal(verificationMaterial.publicKey.hint, keyid)
  }
})
