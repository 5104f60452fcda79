/** `weighlock import oms`: what ends up in the manifest, what is kept, and that only the files that were checked are signed. */
import assert from "node:assert/strict"
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { PassThrough } from "node:stream"
import { test, type TestContext } from "node:test"
import { run, version } from "@weighlock/cli"
import { parseEnvelope, parseStatement } from "@weighlock/manifest"
import { codeSigning, issue, pemOf } from "../support/certificate.ts"
import { Cli } from "../support/cli.ts"
import { bytesOf, chainMaterial, omsFile, omsModel, sha256, signedBundle, statementOf } from "../support/oms.ts"

async function workplace(t: TestContext, ...argv: readonly string[]): Promise<Cli> {
  const cli = new Cli()
  t.after(() => cli.close())
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", ...argv)
  cli.env["WEIGHLOCK_TRUST"] = cli.path("reg", "trust.json")
  cpSync(omsModel, cli.path("model"), { recursive: true })
  for (const name of ["p256.pub.pem", "p384.pub.pem", "certificates/root.pem"])
    cpSync(omsFile(...name.split("/")), cli.path(name.split("/").at(-1) ?? ""))
  return cli
}

function metadataOf(cli: Cli): Readonly<Record<string, string>> {
  return parseStatement(parseEnvelope(readFileSync(cli.path("ours.json"))).payload).metadata
}

const into = ["--as", "acme/thing@1.0.0", "-o", "ours.json"]
const key = ["--key-file", "p256.pub.pem"]

test("the manifest says whose signature it was, and the original is kept under its digest", async (t) => {
  const cli = await workplace(t, "--no-passphrase")
  const bundle = readFileSync(omsFile("0.2.0", "shard-digests-p256.sig"))
  writeFileSync(cli.path("model.sig"), bundle)
  await cli.json("import", "oms", "model", "--bundle", "model.sig", ...key, ...into, "--meta", "license=mit")
  const { license, ...provenance } = metadataOf(cli)
  assert.equal(license, "mit")
  assert.deepEqual(provenance, {
    "provenance.oms.bundle": `sha256:${sha256(bundle)}`,
    "provenance.oms.key": sha256(readFileSync(cli.path("p256.pub.pem"))),
    "provenance.oms.method": "key",
    "provenance.oms.predicate": "https://model_signing/ShardDigests/v0.1",
    "provenance.oms.statement": `sha256:${sha256(Buffer.from(JSON.parse(bundle.toString()).dsseEnvelope.payload, "base64"))}`,
  })
  assert.deepEqual(readdirSync(cli.path("home", "provenance")), [`${sha256(bundle)}.sig`])
  assert.deepEqual(readFileSync(cli.path("home", "provenance", `${sha256(bundle)}.sig`)), bundle)
})

test("by certificate it says whose it was, in letters that a manifest may hold", async (t) => {
  const cli = await workplace(t, "--no-passphrase")
  const root = issue({ subject: "Root", authority: true })
  const subject = "Mallory\u202e\u0007 e\u0301=x"
  const signer = issue({ subject, issuer: root, purposes: [codeSigning] })
  const config = readFileSync(cli.path("model", "config.json"), "utf8")
  const statement = statementOf({ ".": config })
  writeFileSync(
    cli.path("model.sig"),
    bytesOf(signedBundle(statement, signer.key, { material: chainMaterial([signer.der]) })),
  )
  writeFileSync(cli.path("roots.pem"), pemOf(root))
  const trusted = ["model/config.json", "--bundle", "model.sig", "--certificate-chain", "roots.pem"]
  const { stdout } = await cli.run("verify", ...trusted)
  assert.ok(stdout.includes("Mallory") && !stdout.includes("\u202e") && !stdout.includes("\u0007"))
  await cli.json("import", "oms", ...trusted, ...into)
  const metadata = metadataOf(cli)
  assert.match(metadata["provenance.oms.subject"] ?? "", /^CN=Mallory.* é=x$/)
  assert.equal(metadata["provenance.oms.root"], "CN=Root")
  assert.equal(metadata["provenance.oms.method"], "certificate")
})

test("no one else's provenance can be claimed", async (t) => {
  const cli = await workplace(t, "--no-passphrase")
  cpSync(omsFile("1.1.0", "files-p256.sig"), cli.path("model.sig"))
  const claim = ["--meta", "provenance.oms.key=me"]
  const found = await cli.refusal("import", "oms", "model", "--bundle", "model.sig", ...key, ...into, ...claim)
  assert.deepEqual(found, { exit: 2, code: "USAGE" })
})

test("what the signer left out stays left out, and is named", async (t) => {
  const cli = await workplace(t, "--no-passphrase")
  cpSync(omsFile("1.1.0", "files-ignored.sig"), cli.path("model.sig"))
  await cli.json("import", "oms", "model", "--bundle", "model.sig", ...key, ...into)
  const { exclude, resources } = parseStatement(parseEnvelope(readFileSync(cli.path("ours.json"))).payload)
  assert.deepEqual(exclude, ["weights"])
  assert.equal(resources.length, 2)
})

test("nothing is written where the bundle does not hold", async (t) => {
  const cli = await workplace(t, "--no-passphrase")
  cpSync(omsFile("1.1.0", "files-p256.sig"), cli.path("model.sig"))
  writeFileSync(cli.path("model", "config.json"), "{}")
  const found = await cli.refusal("import", "oms", "model", "--bundle", "model.sig", ...key, ...into)
  assert.deepEqual(found, { exit: 13, code: "DIGEST_MISMATCH" })
  assert.ok(!existsSync(cli.path("ours.json")) && !existsSync(cli.path("home", "provenance")))
})

// Between the check and the signature the passphrase is asked for: the moment to change a file.
for (const [name, change, code] of [
  ["a file that changes after it was checked is not signed", true, 8],
  ["one that does not is", false, 0],
] as const) {
  test(name, async (t) => {
    const cli = new Cli({ WEIGHLOCK_PASSPHRASE: "secret" })
    t.after(() => cli.close())
    await cli.json("init", "reg", "--origin", "localhost", "--label", "alice")
    cpSync(omsModel, cli.path("model"), { recursive: true })
    cpSync(omsFile("1.1.0", "files-p256.sig"), cli.path("model.sig"))
    cpSync(omsFile("p256.pub.pem"), cli.path("p256.pub.pem"))
    const { WEIGHLOCK_PASSPHRASE: _, ...env } = cli.env
    const stdin = Object.assign(new PassThrough(), { isTTY: true })
    let [stdout, asked] = ["", false]
    const write = (text: string): void => {
      if (!text.startsWith("Passphrase")) return
      asked = true
      if (change) writeFileSync(cli.path("model", "config.json"), "{}")
      setImmediate(() => stdin.write("secret\n"))
    }
    const io = {
      env: { ...env, WEIGHLOCK_TRUST: cli.path("reg", "trust.json") },
      cwd: cli.folder,
      stdin,
      stdout: { write: (text: string) => (stdout += text) },
      stderr: { write },
      signal: new AbortController().signal,
    }
    const argv = ["import", "oms", "model", "--bundle", "model.sig", ...key, ...into, "--json"]
    assert.equal(await run(argv, io, version), code, stdout)
    assert.ok(asked)
    assert.equal(existsSync(cli.path("ours.json")), !change)
    if (change) assert.match(stdout, /"FILE_CHANGED".*changed between/)
  })
}
