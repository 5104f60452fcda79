/** The SQLite ledger: settings that hold on every open, rows that never change, one winner per version. */
import assert from "node:assert/strict"
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"

import { type Candidate, SqliteLedger, lockWriter } from "@weighlock/registry"

const hex = (digit: string): string => digit.repeat(64)
const candidate = (digit: string, version = "1.0.0", blobs: string[] = []): Candidate => ({
  digest: hex(digit),
  model: "acme/mnist",
  version,
  createdAt: "2026-11-23T12:00:00Z",
  envelope: Buffer.from(`envelope ${digit}`),
  blobs,
})

function tempFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "weighlock-ledger-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, "ledger.sqlite")
}

const expectedPragmas = {
  journal_mode: "wal",
  synchronous: 2,
  foreign_keys: 1,
  trusted_schema: 0,
  cell_size_check: 1,
  busy_timeout: 5000,
  application_id: 0x574c5247,
  user_version: 1,
}

test("the pragmas hold on the first open and on every later one", async (t) => {
  const path = tempFile(t)
  for (const time of ["first", "second", "third"]) {
    const ledger = new SqliteLedger(path)
    const found = Object.fromEntries(Object.keys(expectedPragmas).map((name) => [name, ledger.pragma(name)]))
    assert.deepEqual(found, expectedPragmas, time)
    await ledger.close()
  }
})

test("every table is STRICT", async (t) => {
  const path = tempFile(t)
  await new SqliteLedger(path).close()
  const db = new DatabaseSync(path)
  const tables = db
    .prepare("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'")
    .all()
  db.close()
  assert.deepEqual(tables.map(({ name }) => String(name)).toSorted(), [
    "blobs",
    "manifest_blobs",
    "manifests",
    "trust_roots",
  ])
  assert.ok(tables.every(({ strict }) => strict === 1))
})

test("published rows can be neither updated nor deleted, whoever asks", async (t) => {
  const path = tempFile(t)
  const ledger = new SqliteLedger(path)
  await ledger.addTrustRoot({ version: 1, digest: hex("a"), envelope: Buffer.from("root") })
  await ledger.recordBlobs([{ sha256: hex("b"), size: 1 }])
  await ledger.publish([candidate("c", "1.0.0", [hex("b")])])
  await ledger.close()
  const db = new DatabaseSync(path)
  t.after(() => db.close())
  for (const change of [
    "UPDATE manifests SET envelope = x'00'",
    "UPDATE manifests SET version = '2.0.0'",
    "DELETE FROM manifests",
    "INSERT OR REPLACE INTO manifests (position, digest, model, version, created_at, envelope) SELECT position, digest, model, version, created_at, x'00' FROM manifests",
    "INSERT OR REPLACE INTO manifests (digest, model, version, created_at, envelope) SELECT digest, model, version, created_at, x'00' FROM manifests",
    "INSERT OR REPLACE INTO trust_roots (version, digest, envelope) SELECT version, digest, x'00' FROM trust_roots",
    "UPDATE trust_roots SET envelope = x'00'",
    "DELETE FROM trust_roots",
    "UPDATE manifest_blobs SET blob = blob",
    "DELETE FROM manifest_blobs",
    "UPDATE blobs SET size = 2",
    "PRAGMA foreign_keys = ON; DELETE FROM blobs",
  ]) {
    assert.throws(() => db.exec(change), change)
  }
})

test("what was written is there after a re-open", async (t) => {
  const path = tempFile(t)
  const parts = { size: 8_388_608, digests: [hex("1"), hex("2")] }
  const before = new SqliteLedger(path)
  await before.recordBlobs([{ sha256: hex("b"), size: 9_000_000, parts }])
  await before.publish([candidate("c", "1.0.0", [hex("b"), hex("b")])])
  await before.close()
  const after = new SqliteLedger(path)
  t.after(() => after.close())
  assert.deepEqual((await after.blobs([hex("b"), hex("f")])).get(hex("b")), {
    sha256: hex("b"),
    size: 9_000_000,
    parts,
  })
  const { blobs: _, ...publication } = candidate("c")
  assert.deepEqual(await after.byVersion("acme/mnist", "1.0.0"), publication)
  assert.deepEqual(await after.byDigest(hex("c")), publication)
  assert.equal(await after.byDigest(hex("d")), null)
})

test("the first candidate of a batch is bound, the others learn who was", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  const batch = [candidate("1"), candidate("2"), candidate("1"), candidate("3", "2.0.0", [hex("e")])]
  const [first, second, third, fourth] = await ledger.publish(batch)
  assert.ok(first && "created" in first && first.created)
  assert.ok(second && "created" in second && !second.created && second.holder.digest === hex("1"))
  assert.ok(third && "created" in third && !third.created && third.holder.digest === hex("1"))
  assert.deepEqual(fourth, { missing: [hex("e")] })
  assert.equal(await ledger.byVersion("acme/mnist", "2.0.0"), null)
})

test("only old blobs that no manifest needs are forgotten", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  await ledger.recordBlobs([hex("a"), hex("b")].map((sha256) => ({ sha256, size: 1 })))
  await ledger.publish([candidate("c", "1.0.0", [hex("a")])])
  assert.deepEqual(await ledger.forgetBlobs(Date.now() - 60_000), [])
  assert.deepEqual(await ledger.forgetBlobs(Date.now() + 60_000), [hex("b")])
  assert.deepEqual([...(await ledger.blobs([hex("a"), hex("b")])).keys()], [hex("a")])
})

test("a trust root of a known version can't be replaced", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  const root = { version: 1, digest: hex("a"), envelope: Buffer.from("root") }
  await ledger.addTrustRoot(root)
  await ledger.addTrustRoot(root)
  await assert.rejects(ledger.addTrustRoot({ ...root, digest: hex("b") }), { code: "CONFLICT" })
})

test("a database of somebody else is refused", (t) => {
  const path = tempFile(t)
  const db = new DatabaseSync(path)
  db.exec("CREATE TABLE other (a)")
  db.close()
  assert.throws(() => new SqliteLedger(path), { code: "USAGE" })
})

test("garbage and torn files are refused", async (t) => {
  const garbage = tempFile(t)
  writeFileSync(garbage, "this is not a database, and it is long enough to be looked at ".repeat(100))
  assert.throws(() => new SqliteLedger(garbage), { code: "STORE_FAILED" })
  const torn = tempFile(t)
  const ledger = new SqliteLedger(torn)
  for (let i = 0; i < 100; i++)
    await ledger.publish([{ ...candidate("a"), digest: i.toString(16).padStart(64, "0"), version: `1.0.${i}` }])
  await ledger.close()
  const size = readFileSync(torn).length
  const file = openSync(torn, "r+")
  for (let at = 4096; at < size; at += 4096) writeSync(file, Buffer.alloc(64, 0xff), 0, 64, at)
  assert.throws(() => new SqliteLedger(torn), { code: "STORE_FAILED" })
})

test("one writer at a time", (t) => {
  const path = `${tempFile(t)}.lock`
  const lock = lockWriter(path)
  assert.throws(() => lockWriter(path), { code: "CONFLICT" })
  lock.release()
  lockWriter(path).release()
})
