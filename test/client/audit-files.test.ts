/** `audit --files`: a log that is sound says nothing about the bytes of a model, so they are read, too. */
import assert from "node:assert/strict"
import { chmodSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { audit, auditExit, type AuditReport } from "@weighlock/client"
import { sha256Hex } from "@weighlock/manifest"
import { flipByte, made, startHostile } from "../support/hostile.ts"
import { largeFiles, publishFiles, type Shop, stockedShop } from "../support/published.ts"
import { codeOf, tempFolder } from "../support/temp.ts"

const files = largeFiles()
const big = "weights/big.bin"

async function look(
  shop: Shop,
  changes: { readonly url?: string; readonly files?: boolean } = {},
): Promise<AuditReport> {
  const { url = shop.options.registry, files = true } = changes
  return await audit({ source: { kind: "registry", url }, trust: shop.options.trust, state: shop.options.state, files })
}

/** Where the registry keeps it. */
function blobOf({ world }: Shop, name: string): string {
  const digest = sha256Hex(files[name] ?? assert.fail())
  const folder = join(world.folder, "data", "blobs", digest.slice(0, 2))
  const found = readdirSync(folder).find((entry) => entry === digest) ?? assert.fail()
  chmodSync(join(folder, found), 0o600)
  return join(folder, found)
}

test("a flipped bit in a stored file: clean without --files, DIGEST_MISMATCH and exit 13 with it", async (t) => {
  const shop = await stockedShop(t, files)
  await publishFiles(shop, files, { version: "1.1.0", metadata: { note: "the same files" } })
  const clean = await look(shop)
  const bytes = Object.values(files).reduce((sum, { length }) => sum + length, 0)
  assert.deepEqual([auditExit(clean), clean.files], [0, { count: Object.keys(files).length, bytes }])
  const blob = blobOf(shop, big)
  writeFileSync(blob, flipByte(readFileSync(blob), 10_000_000))
  assert.equal(auditExit(await look(shop, { files: false })), 0)
  const report = await look(shop)
  assert.equal(auditExit(report), 13)
  assert.deepEqual(
    report.findings.map(({ kind, code, check, index }) => [kind, code, check, index]),
    [2, 3].map((index) => ["file", "DIGEST_MISMATCH", "file", index]),
  )
  assert.match(report.findings[0]?.message ?? "", /acme\/mnist@1\.0\.0: weights\/big\.bin: signed sha256:/)
})

test("a file that is gone, or shorter, is found; the others are read all the same", async (t) => {
  const shop = await stockedShop(t, files)
  rmSync(blobOf(shop, "model.json"))
  truncateSync(blobOf(shop, big), 100)
  const report = await look(shop)
  assert.equal(auditExit(report), 13)
  assert.deepEqual(report.findings.map(({ message }) => /model\.json|big\.bin/.exec(message)?.[0]).toSorted(), [
    "big.bin",
    "model.json",
  ])
  assert.equal(report.files?.count, Object.keys(files).length - 2)
})

test("a registry that hides a manifest, or stops answering for files", { timeout: 120_000 }, async (t) => {
  const shop = await stockedShop(t, files)
  const proxy = await startHostile(t, shop.options.registry)
  proxy.rule = ({ isBlob }) => (isBlob ? made(200, "other bytes") : null)
  const lied = await look(shop, { url: proxy.url })
  assert.equal(auditExit(lied), 13)
  assert.equal(lied.findings.length, Object.keys(files).length)
  proxy.rule = ({ isBlob }) => (isBlob ? made(503) : null)
  assert.equal(await codeOf(() => look(shop, { url: proxy.url })), "UNAVAILABLE")
})

test("only a registry that is replayed has files: else USAGE", async (t) => {
  const folder = tempFolder(t)
  for (const options of [
    { source: { kind: "folder", path: folder }, files: true },
    { source: { kind: "static", url: "http://127.0.0.1:1" }, files: true },
    { source: { kind: "registry", url: "http://127.0.0.1:1" }, files: true, hashOnly: true },
  ] as const)
    assert.equal(await codeOf(() => audit({ trust: "none.json", ...options })), "USAGE")
})
