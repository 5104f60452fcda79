/** docs/format.md says what is: its blocks are the example's bytes, and the example is what this code makes today. */
import assert from "node:assert/strict"
import { mkdtemp, open, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import {
  canonicalJson,
  decodeUtf8,
  encodeUtf8,
  importSigstore,
  limits,
  openTrustChain,
  parseBundle,
  parseEnvelope,
  parseJson,
  parseReference,
  parseStatement,
  preAuthEncoding,
  sha256Hex,
  verify,
} from "@weighlock/manifest"
import { hashFolder } from "@weighlock/manifest/node"
import { emptyCheckpoint } from "@weighlock/tlog"
import { exampleFolder, makeExample } from "../support/make-example.ts"
import { blockOf, blocksOf, readPage, tableBelow } from "../support/markdown.ts"

const page = readPage("format.md")

async function exampleFile(name: string): Promise<Buffer> {
  return await readFile(join(exampleFolder, name))
}

test("the example is made anew byte for byte", async () => {
  const made = await makeExample()
  const entries = await readdir(exampleFolder, { recursive: true, withFileTypes: true })
  const found = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(exampleFolder.length + 1))
  assert.deepEqual(found.toSorted(), [...made.keys()].toSorted())
  for (const [name, bytes] of made) assert.deepEqual(await exampleFile(name), Buffer.from(bytes), name)
})

test("the example verifies, in all three forms", async () => {
  const trustChain = openTrustChain([await exampleFile("trust.json")], { by: "file" })
  const bundle = parseBundle(await exampleFile("bundle.json"))
  for (const text of ["acme/iris@1.2.0", `acme/iris@sha256:${sha256Hex(bundle.envelope.payload)}`]) {
    const manifest = verify({
      reference: parseReference(text),
      bundle,
      trustChain,
      seen: emptyCheckpoint(trustChain.current.log.origin),
      consistency: [],
      maxStaleness: null,
      now: new Date(),
    })
    assert.deepEqual([manifest.index, manifest.checkpoint.size], [2, 5])
    assert.deepEqual(manifest.resources, await hashFolder(join(exampleFolder, "model")))
  }
  assert.deepEqual(parseEnvelope(await exampleFile("envelope.json")), bundle.envelope)
  assert.deepEqual(importSigstore(await exampleFile("model.sig")), bundle.envelope)
  assert.deepEqual(bundle.entry, new Uint8Array(await exampleFile("entry.json")))
  assert.equal(bundle.proof, (await exampleFile("iris.tlog-proof")).toString())
})

test("every block is marked as what it is", () => {
  const kinds = blocksOf(page).map(({ kind, about }) => `${kind}: ${about}`)
  assert.deepEqual(kinds, [
    "payload: envelope.json",
    "digest: envelope.json",
    "dirhash: envelope.json",
    "parts: zeros.bin",
    "file: envelope.json",
    "pae: envelope.json",
    "file: alice.pub.pem",
    "payload: trust.json",
    "digest: trust.json",
    "leaf: entry.json",
    "file: bundle.json",
    "file: iris.tlog-proof",
    "file: model.sig",
    "session: verify.sh",
    "script: verify.sh",
  ])
})

for (const { kind, about, text } of blocksOf(page)) {
  if (kind === "file")
    test(`the page shows ${about}`, async () => {
      assert.equal((await exampleFile(about)).toString().trimEnd(), text)
    })
  if (kind === "payload")
    test(`the page shows the payload of ${about}`, async () => {
      const { payload } = parseEnvelope(await exampleFile(about))
      assert.equal(decodeUtf8(canonicalJson(parseJson(encodeUtf8(text))), about), decodeUtf8(payload, about))
    })
  if (kind === "leaf")
    test(`the page shows the leaf ${about}`, async () => {
      assert.deepEqual(Buffer.from(canonicalJson(parseJson(encodeUtf8(text)))), await exampleFile(about))
    })
  if (kind === "digest")
    test(`the page shows the digest of the payload of ${about}`, async () => {
      assert.equal(text, sha256Hex(parseEnvelope(await exampleFile(about)).payload))
    })
}

test("the page shows the lines under dirHash1", async () => {
  const { payload } = parseEnvelope(await exampleFile("envelope.json"))
  const shown = blockOf(page, "dirhash", "envelope.json")
  const lines = parseStatement(payload).resources.map(({ digest, name }) => `${digest}  ${name}`)
  assert.equal(shown, lines.join("\n"))
  assert.match(decodeUtf8(payload, "payload"), new RegExp(`"dirHash1":"${sha256Hex(encodeUtf8(`${shown}\n`))}"`))
})

test("the page shows how the signed bytes begin", async () => {
  const { payloadType, payload } = parseEnvelope(await exampleFile("envelope.json"))
  const shown = blockOf(page, "pae", "envelope.json")
  const signed = decodeUtf8(preAuthEncoding(payloadType, payload), "PAE")
  assert.ok(signed.startsWith(shown), signed.slice(0, 120))
  assert.ok(shown.length > signed.length - payload.length)
})

test("the page names alice by her keyid", async () => {
  assert.ok(page.includes(`whose keyid is \`${sha256Hex(await exampleFile("alice.pub.pem"))}\``))
})

test("the page shows the parts of a file of 20 MiB", async () => {
  const folder = await mkdtemp(join(tmpdir(), "weighlock-docs-"))
  try {
    const file = await open(join(folder, "zeros.bin"), "wx")
    await file.truncate(20 * 1024 * 1024) // sparse: no block of it is on the disk
    await file.close()
    const [resource] = await hashFolder(folder)
    const shown = JSON.parse(blockOf(page, "parts", "zeros.bin")) as {
      name: string
      algorithm: string
      digest: string
      size: number
      parts: { size: number; digests: string }
    }
    const digests = Buffer.from(shown.parts.digests, "base64").toString("hex")
    assert.equal(shown.algorithm, "sha256")
    assert.deepEqual(resource, {
      name: shown.name,
      digest: shown.digest,
      size: shown.size,
      parts: { size: shown.parts.size, digests: digests.match(/.{64}/g) },
    })
  } finally {
    await rm(folder, { recursive: true })
  }
})

test("the limits on the page are the limits in the code", () => {
  const shown = tableBelow(page, "## Limits").map(([, limit = ""]) => Number(limit.replaceAll(/\D/g, "")))
  // \`record\` belongs to records that do not exist yet.
  const { record, ...today } = limits
  assert.ok(record > 0)
  assert.deepEqual(
    shown.toSorted((a, b) => a - b),
    Object.values(today).toSorted((a, b) => a - b),
  )
})
