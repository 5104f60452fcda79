/**
 * Both ways with `model_signing`: it accepts what we sign with a P-256 key, and we accept what it signs with keys and
 * certificates; each refuses a changed file.
 */
import assert from "node:assert/strict"
import { generateKeyPairSync } from "node:crypto"
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { type TestContext, test } from "node:test"

import { ecKey, issue, pemOf } from "../support/certificate.ts"
import { Cli } from "../support/cli.ts"
import { omsModel } from "../support/oms.ts"
import { run } from "./go-code.ts"
import { pythonCommand } from "./python.ts"

async function workplace(t: TestContext): Promise<Cli> {
  const cli = new Cli()
  t.after(() => cli.close())
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  cli.env["WEIGHLOCK_TRUST"] = cli.path("reg", "trust.json")
  cpSync(omsModel, cli.path("model"), { recursive: true })
  return cli
}

/** A key as openssl writes it (SEC1), and its public half beside it. */
function writeKey(cli: Cli, name: string, namedCurve: string): void {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve })
  writeFileSync(cli.path(name), privateKey.export({ type: "sec1", format: "pem" }), { mode: 0o600 })
  writeFileSync(cli.path(`${name}.pub`), publicKey.export({ type: "spki", format: "pem" }))
}

test("model_signing and we read each other", { timeout: 600_000 }, async (t) => {
  const tool = await pythonCommand(t, "model_signing")
  if (tool === null) return
  const theirs = async (cli: Cli, ...argv: readonly string[]): Promise<string> =>
    await run(tool, argv, { cwd: cli.folder, env: { ...process.env, HOME: cli.folder } })

  await t.test("it verifies a folder of which much was left out, and refuses what came after", async (t) => {
    const cli = await workplace(t)
    writeKey(cli, "cosign.pem", "P-256")
    const dropped = ["weights/__pycache__/x.pyc", ".DS_Store", "logs/12:00.log", "a.log", "deep/.git/HEAD", ".git/HEAD"]
    for (const name of dropped) {
      mkdirSync(dirname(cli.path("model", name)), { recursive: true })
      writeFileSync(cli.path("model", name), name)
    }
    writeFileSync(cli.path("model", ".weighlockignore"), "*.log\n")
    await cli.json("sign", "model", "--as", "acme/thing@1.0.0", "--cosign-p256", "cosign.pem", "-o", "signed.json")
    await cli.json("export", "signed.json", "--sigstore", "--signature", "p256", "-o", "model.sig")
    const verify = ["verify", "key", "model", "--signature", "model.sig", "--public_key", "cosign.pem.pub"]
    assert.match(await theirs(cli, ...verify), /Verification succeeded/)
    writeFileSync(cli.path("model", "later.log"), "came after")
    await assert.rejects(theirs(cli, ...verify), /Verification failed/)
  })
  await t.test("it verifies our P-256 signature, and refuses a changed file and a flipped bit", async (t) => {
    const cli = await workplace(t)
    writeKey(cli, "cosign.pem", "P-256")
    await cli.json("sign", "model", "--as", "acme/thing@1.0.0", "--cosign-p256", "cosign.pem", "-o", "signed.json")
    await cli.json("export", "signed.json", "--sigstore", "--signature", "p256", "-o", "model.sig")
    const verify = ["verify", "key", "model", "--signature", "model.sig", "--public_key", "cosign.pem.pub"]
    assert.match(await theirs(cli, ...verify), /Verification succeeded/)
    appendFileSync(cli.path("model", "config.json"), " ")
    await assert.rejects(theirs(cli, ...verify), /Verification failed/)
    cpSync(omsModel, cli.path("model"), { recursive: true })
    assert.match(await theirs(cli, ...verify), /Verification succeeded/)
    // That is why there is a second signature.
    await cli.json("export", "signed.json", "--sigstore", "--signature", "ed25519", "-o", "ed25519.sig")
    const { pem } = await cli.json("key", "export", "alice")
    writeFileSync(cli.path("alice.pub"), String(pem))
    const ed25519 = ["verify", "key", "model", "--signature", "ed25519.sig", "--public_key", "alice.pub"]
    await assert.rejects(theirs(cli, ...ed25519), /Verification failed/)
    const bundle = JSON.parse(readFileSync(cli.path("model.sig"), "utf8"))
    const sig = Buffer.from(bundle.dsseEnvelope.signatures[0].sig, "base64")
    sig[40] = (sig[40] ?? 0) ^ 1
    bundle.dsseEnvelope.signatures[0].sig = sig.toString("base64")
    writeFileSync(cli.path("model.sig"), JSON.stringify(bundle))
    await assert.rejects(theirs(cli, ...verify), /Verification failed/)
  })

  for (const curve of ["P-256", "P-384", "P-521"]) {
    await t.test(`we verify and import what it signs with a key on ${curve}`, async (t) => {
      const cli = await workplace(t)
      writeKey(cli, "their.pem", curve)
      // As many do: the signature lies in the model's own folder.
      await theirs(cli, "sign", "key", "model", "--signature", "model/model.sig", "--private_key", "their.pem")
      const trusted = ["model", "--bundle", "model/model.sig", "--key-file", "their.pem.pub"]
      const { files, logged } = await cli.json("verify", ...trusted)
      assert.deepEqual([files, logged], [4, false])
      await cli.json("import", "oms", ...trusted, "--as", "acme/thing@1.0.0", "-o", "ours.json")
      await cli.json("verify", "model", "--bundle", "ours.json")
      appendFileSync(cli.path("model", "config.json"), " ")
      assert.deepEqual(await cli.refusal("verify", ...trusted), { exit: 13, code: "DIGEST_MISMATCH" })
    })
  }

  await t.test("we verify what it signs by certificate, where both believe the same root", async (t) => {
    const cli = await workplace(t)
    const root = issue({ subject: "Root", authority: true })
    const other = issue({ subject: "Other", authority: true })
    const signer = issue({ subject: "Signer", issuer: root, key: ecKey() })
    for (const [name, made] of Object.entries({ root, other, signer }))
      writeFileSync(cli.path(`${name}.pem`), pemOf(made))
    writeFileSync(cli.path("signer.key"), signer.key.export({ type: "pkcs8", format: "pem" }))
    const sign = ["sign", "certificate", "model", "--signature", "model.sig", "--private_key", "signer.key"]
    await theirs(cli, ...sign, "--signing_certificate", "signer.pem", "--certificate_chain", "root.pem")
    assert.ok(existsSync(cli.path("model.sig")))
    const verify = ["verify", "certificate", "model", "--signature", "model.sig", "--certificate_chain"]
    assert.match(await theirs(cli, ...verify, "root.pem"), /Verification succeeded/)
    const { signer: found } = await cli.json(
      "verify",
      "model",
      "--bundle",
      "model.sig",
      "--certificate-chain",
      "root.pem",
    )
    assert.equal((found as { subject: string }).subject, "CN=Signer")
    await assert.rejects(theirs(cli, ...verify, "other.pem"), /Verification failed/)
    const refused = await cli.refusal("verify", "model", "--bundle", "model.sig", "--certificate-chain", "other.pem")
    assert.deepEqual(refused, { exit: 12, code: "SIGNER_UNTRUSTED" })
  })
})
