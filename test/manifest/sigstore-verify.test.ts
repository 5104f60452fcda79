/** Sigstore's own verifier for JavaScript accepts what `weighlock export --sigstore` writes, offline, and no other bytes. */
import assert from "node:assert/strict"
import { createPublicKey, generateKeyPairSync } from "node:crypto"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { test } from "node:test"
import { bundleFromJSON } from "@sigstore/bundle"
import { toSignedEntity, VerificationError, Verifier } from "@sigstore/verify"
import { Cli } from "../support/cli.ts"

/** Throws what their verifier throws. */
function verifyWith(pem: string, bundle: unknown): void {
  const key = { publicKey: createPublicKey(pem), validFor: () => true }
  const trust = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [], publicKey: () => key }
  const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 })
  verifier.verify(toSignedEntity(bundleFromJSON(bundle)))
}

interface BundleJson {
  dsseEnvelope: { payload: string; signatures: [{ sig: string }] }
}

/** Every bit of a signature, and some of a long payload. */
function* flips(bundle: BundleJson): Generator<BundleJson> {
  const { payload, signatures } = bundle.dsseEnvelope
  for (const [text, step] of [
    [signatures[0].sig, 1],
    [payload, 97],
  ] as const) {
    const bytes = Buffer.from(text, "base64")
    for (let bit = 0; bit < 8 * bytes.length; bit += step) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const copy = structuredClone(bundle)
      if (text === payload) copy.dsseEnvelope.payload = changed.toString("base64")
      else copy.dsseEnvelope.signatures[0].sig = changed.toString("base64")
      yield copy
    }
  }
}

test("@sigstore/verify accepts both kinds of exported signatures, and refuses each flipped bit and the other key", async (t) => {
  const cli = new Cli()
  t.after(() => cli.close())
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  cli.env["WEIGHLOCK_TRUST"] = cli.path("reg", "trust.json")
  mkdirSync(cli.path("model"))
  writeFileSync(cli.path("model", "notes.txt"), "a model of sorts")
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  writeFileSync(cli.path("cosign.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 })
  await cli.json("sign", "model", "--as", "acme/thing@1.0.0", "--cosign-p256", "cosign.pem", "-o", "signed.json")
  const { pem } = await cli.json("key", "export", "alice")
  const keys = { ed25519: String(pem), p256: publicKey.export({ type: "spki", format: "pem" }).toString() }
  for (const [which, other] of [
    ["ed25519", "p256"],
    ["p256", "ed25519"],
  ] as const) {
    await cli.json("export", "signed.json", "--sigstore", "--signature", which, "-o", `${which}.sig`)
    const bundle = JSON.parse(readFileSync(cli.path(`${which}.sig`), "utf8")) as BundleJson
    verifyWith(keys[which], bundle)
    assert.throws(() => verifyWith(keys[other], bundle), VerificationError)
    let flipped = 0
    for (const changed of flips(bundle)) {
      assert.throws(() => verifyWith(keys[which], changed), VerificationError)
      flipped++
    }
    assert.ok(flipped > 500)
  }
})
