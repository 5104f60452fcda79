/** The SQLite ledger: settings that hold on every open, rows that never change, a head that moves by compare-and-swap. */
import assert from "node:assert/strict"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"

import { type LogCommit, type LogHead, type NewEntry, SqliteLedger, lockWriter } from "@weighlock/registry"
import { emptyRoot, hashLeaf } from "@weighlock/tlog"

const hex = (digit: string): string => digit.repeat(64)
const root = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)

function tempFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "weighlock-ledger-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, "ledger.sqlite")
}

/** The entry that publishes `version` of acme/mnist as the `index`-th of all. */
function published(index: number, version: string, digest: string, blobs: string[] = []): NewEntry {
  const leaf = Buffer.from(`leaf ${index}`)
  const manifest = { digest, model: "acme/mnist", version, createdAt: "2026-11-23T12:00:00Z", blobs }
  return { index, leaf, hash: hashLeaf(leaf), place: { model: "acme/mnist", seq: index }, manifest }
}

function commitOf(from: LogHead, entries: NewEntry[], note = "note"): LogCommit {
  const size = from.size + entries.length
  return { from, to: { size, root: root(size) }, entries, tiles: [], note: `${note} ${size}` }
}

const plain = (head: LogHead): LogHead => ({ ...head, root: new Uint8Array(head.root) })

async function headOf(ledger: SqliteLedger): Promise<LogHead> {
  const head = await ledger.head()
  assert.ok(head)
  return head
}

const expectedPragmas = {
  journal_mode: "wal",
  synchronous: 2,
  foreign_keys: 1,
  trusted_schema: 0,
  cell_size_check: 1,
  busy_timeout: 5000,
  application_id: 0x574c5247,
  user_version: 3,
}

test("the pragmas hold on the first open and on every later one", async (t) => {
  const path = tempFile(t)
  for (const time of ["first", "second", "third"]) {
    const ledger = new SqliteLedger(path)
    for (const [name, value] of Object.entries(expectedPragmas)) {
      assert.equal(await ledger.pragma(name), value, `${name}, ${time}`)
    }
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
    "log_checkpoints",
    "log_cosignatures",
    "log_entries",
    "log_head",
    "log_tiles",
    "manifest_blobs",
    "manifests",
    "payloads",
    "trust_roots",
    "unrecorded_blobs",
  ])
  assert.ok(tables.every(({ strict }) => strict === 1))
})

test("published rows can be neither updated nor deleted nor replaced, whoever asks", async (t) => {
  const path = tempFile(t)
  const ledger = new SqliteLedger(path)
  await ledger.recordBlobs([{ sha256: hex("b"), size: 1 }])
  const leaf = Buffer.from("root")
  const trust: NewEntry = { index: 0, leaf, hash: hashLeaf(leaf), trustRoot: { version: 1, digest: hex("a") } }
  const manifest = { ...published(1, "1.0.0", hex("c"), [hex("b")]), payload: { sha256: hex("c"), bytes: leaf } }
  const tiles = [{ level: 0, n: 0, hashes: new Uint8Array(8192) }]
  await ledger.commit({ ...commitOf(await ledger.fence(), [trust, manifest]), tiles })
  await ledger.close()
  const db = new DatabaseSync(path)
  t.after(() => db.close())
  for (const change of [
    "UPDATE log_entries SET leaf = x'00'",
    "DELETE FROM log_entries",
    "INSERT OR REPLACE INTO log_entries SELECT * FROM log_entries WHERE idx = 1",
    "INSERT OR REPLACE INTO log_entries SELECT 2, hash, model, seq, x'00' FROM log_entries WHERE idx = 1",
    "INSERT INTO log_entries VALUES (7, zeroblob(32), NULL, NULL, x'00')",
    "UPDATE log_tiles SET hashes = zeroblob(8192)",
    "DELETE FROM log_tiles",
    "INSERT OR REPLACE INTO log_tiles SELECT * FROM log_tiles",
    "UPDATE log_checkpoints SET note = 'other'",
    "DELETE FROM log_checkpoints",
    "INSERT OR REPLACE INTO log_checkpoints SELECT * FROM log_checkpoints",
    "UPDATE log_head SET size = 1",
    "UPDATE log_head SET root = zeroblob(32)",
    "UPDATE log_head SET epoch = 0",
    "DELETE FROM log_head",
    "INSERT OR REPLACE INTO log_head VALUES (1, 9, zeroblob(32), 9)",
    "UPDATE payloads SET bytes = x'00'",
    "DELETE FROM payloads",
    "UPDATE manifests SET version = '2.0.0'",
    "DELETE FROM manifests",
    "INSERT OR REPLACE INTO manifests SELECT * FROM manifests",
    "INSERT OR REPLACE INTO trust_roots SELECT * FROM trust_roots",
    "UPDATE trust_roots SET version = 2",
    "DELETE FROM trust_roots",
    "UPDATE manifest_blobs SET blob = blob",
    "DELETE FROM manifest_blobs",
    "UPDATE blobs SET size = 2",
    "PRAGMA foreign_keys = ON; DELETE FROM blobs",
  ]) {
    assert.throws(() => db.exec(change), change)
  }
  db.exec("INSERT OR REPLACE INTO payloads SELECT sha256, x'00' FROM payloads") // is ignored
  assert.deepEqual(db.prepare("SELECT bytes FROM payloads").get()?.["bytes"], new Uint8Array(leaf))
})

test("what was written is there after a re-open", async (t) => {
  const path = tempFile(t)
  const parts = { size: 8_388_608, digests: [hex("1"), hex("2")] }
  const before = new SqliteLedger(path)
  await before.recordBlobs([{ sha256: hex("b"), size: 9_000_000, parts }])
  const entry = published(0, "1.0.0", hex("c"), [hex("b"), hex("b")])
  await before.commit(commitOf(await before.fence(), [entry]))
  await before.close()
  const after = new SqliteLedger(path)
  t.after(() => after.close())
  const facts = { sha256: hex("b"), size: 9_000_000, parts }
  assert.deepEqual((await after.blobs([hex("b"), hex("f")])).get(hex("b")), facts)
  const found = await after.byVersion("acme/mnist", "1.0.0")
  assert.equal(found?.digest, hex("c"))
  assert.deepEqual(Buffer.from(found.entry.leaf), entry.leaf)
  assert.deepEqual(await after.byDigest(hex("c")), found)
  assert.equal(await after.byDigest(hex("d")), null)
  assert.equal(await after.checkpoint(1), "note 1")
  assert.equal(await after.checkpoint(2), null)
  assert.deepEqual(new Uint8Array((await headOf(after)).root), root(1))
})

test("facts: who holds the version, which blobs are missing, the model's newest entry", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  await ledger.recordBlobs([{ sha256: hex("b"), size: 1 }])
  const [first, second] = [published(0, "1.0.0", hex("c")), published(1, "1.1.0", hex("d"))]
  await ledger.commit(commitOf(await ledger.fence(), [first, second]))
  const wanted = [
    { model: "acme/mnist", version: "1.0.0", blobs: [hex("b")] },
    { model: "acme/other", version: "1.0.0", blobs: [hex("b"), hex("e")] },
  ]
  const [held, unknown] = await ledger.facts(wanted)
  assert.deepEqual(held, {
    holder: { index: 0, digest: hex("c") },
    missing: [],
    newest: { seq: 1, hash: second.hash },
  })
  assert.deepEqual(unknown, { holder: null, missing: [hex("e")], newest: null })
})

test("a commit that was planned for another head is refused, and writes nothing", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  const head = await ledger.fence()
  assert.deepEqual([head.size, new Uint8Array(head.root), head.epoch], [0, emptyRoot(), 1])
  const entry = published(0, "1.0.0", hex("c"))
  for (const stale of [
    { ...head, size: 1 },
    { ...head, root: root(9) },
    { ...head, epoch: 0 },
  ]) {
    await assert.rejects(ledger.commit({ ...commitOf(head, [entry]), from: stale }), { code: "CONFLICT" })
  }
  assert.equal((await headOf(ledger)).size, 0)
  await assert.rejects(ledger.entries(0, 1), { code: "STORE_FAILED" })
  await ledger.commit(commitOf(head, [entry]))
  assert.equal((await headOf(ledger)).size, 1)
})

test("who opens the ledger later fences off who had it before", async (t) => {
  const path = tempFile(t)
  const [before, after] = [new SqliteLedger(path), new SqliteLedger(path)]
  t.after(() => Promise.all([before.close(), after.close()]))
  const stale = await before.fence()
  const head = await after.fence()
  assert.equal(head.epoch, stale.epoch + 1)
  await assert.rejects(before.commit(commitOf(stale, [published(0, "1.0.0", hex("c"))])), { code: "CONFLICT" })
  await after.commit(commitOf(head, [published(0, "1.0.0", hex("c"))]))
})

test("a commit that fails in the middle leaves nothing", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  const head = await ledger.fence()
  const entries = [published(0, "1.0.0", hex("c")), published(1, "1.0.0", hex("d"))] // one version twice
  await assert.rejects(ledger.commit(commitOf(head, entries)))
  assert.deepEqual(plain(await headOf(ledger)), plain(head))
  assert.equal(await ledger.byVersion("acme/mnist", "1.0.0"), null)
  assert.equal((await ledger.facts([{ model: "acme/mnist", version: "1.0.0", blobs: [] }]))[0]?.newest, null)
})

test("only old blobs that no manifest needs are forgotten", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  await ledger.recordBlobs([hex("a"), hex("b")].map((sha256) => ({ sha256, size: 1 })))
  await ledger.commit(commitOf(await ledger.fence(), [published(0, "1.0.0", hex("c"), [hex("a")])]))
  assert.deepEqual(await ledger.forgetBlobs(Date.now() - 60_000), [])
  assert.deepEqual(await ledger.forgetBlobs(Date.now() + 60_000), [hex("b")])
  assert.deepEqual([...(await ledger.blobs([hex("a"), hex("b")])).keys()], [hex("a")])
})

test("bytes that may lie in the store unrecorded are noted until they are recorded, or gone", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  const [before, later] = [Date.now() - 60_000, Date.now() + 60_000]
  await ledger.noteUnrecorded([hex("a"), hex("b"), hex("c"), hex("d")])
  await ledger.recordBlobs([hex("a"), hex("b")].map((sha256) => ({ sha256, size: 1 })))
  await ledger.commit(commitOf(await ledger.fence(), [published(0, "1.0.0", hex("e"), [hex("a")])]))
  assert.deepEqual(await ledger.forgetBlobs(before), [])
  assert.deepEqual(await ledger.forgetBlobs(later), [hex("b"), hex("c"), hex("d")]) // b: recorded, and not needed
  assert.deepEqual([...(await ledger.blobs([hex("a"), hex("b")])).keys()], [hex("a")])
  await ledger.dropNotes([hex("b"), hex("c")], later)
  await ledger.dropNotes([hex("d")], before) // made anew since
  assert.deepEqual(await ledger.forgetBlobs(later), [hex("d")])
})

test("a note that is made anew is as old as that", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  await ledger.noteUnrecorded([hex("a")])
  await pause(5)
  const between = Date.now()
  assert.deepEqual(await ledger.forgetBlobs(between), [hex("a")])
  await ledger.noteUnrecorded([hex("a")])
  assert.deepEqual(await ledger.forgetBlobs(between), [])
})

/** As the version before would have made it. */
async function olderLedger(t: TestContext, change = ""): Promise<string> {
  const path = tempFile(t)
  const ledger = new SqliteLedger(path)
  await ledger.commit(commitOf(await ledger.fence(), [published(0, "1.0.0", hex("c"))]))
  await ledger.close()
  const db = new DatabaseSync(path)
  db.exec(`DROP TABLE unrecorded_blobs; PRAGMA user_version = 2; ${change}`)
  db.close()
  return path
}

test("a ledger of the version before is taken up as it is", async (t) => {
  const path = await olderLedger(t)
  const upgraded = new SqliteLedger(path)
  await upgraded.noteUnrecorded([hex("a")])
  assert.ok(await upgraded.byVersion("acme/mnist", "1.0.0"))
  assert.equal(await upgraded.pragma("user_version"), 3)
  await upgraded.close()
  const again = new SqliteLedger(path)
  assert.deepEqual(await again.forgetBlobs(Date.now() + 60_000), [hex("a")])
  await again.close()
})

test("one of the version before that was meddled with is refused, and left as it is", async (t) => {
  const path = await olderLedger(t, "DROP TRIGGER payloads_never_deleted")
  assert.throws(() => new SqliteLedger(path), { code: "STORE_FAILED" })
  const db = new DatabaseSync(path)
  assert.equal(db.prepare("PRAGMA user_version").get()?.["user_version"], 2)
  db.close()
})

test("a cosignature is kept once a witness, the last one told", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  await ledger.commit(commitOf(await ledger.fence(), [published(0, "1.0.0", hex("c"))]))
  await ledger.addCosignatures(1, [{ vkey: "w1", line: "old" }])
  await ledger.addCosignatures(1, [
    { vkey: "w1", line: "new" },
    { vkey: "w2", line: "other" },
  ])
  assert.deepEqual(await ledger.cosignatures(1), [
    { vkey: "w1", line: "new" },
    { vkey: "w2", line: "other" },
  ])
  assert.deepEqual(await ledger.cosignedSizes(10), [1])
  await assert.rejects(ledger.addCosignatures(2, [{ vkey: "w1", line: "of nothing" }]))
  await ledger.forgetCosignatures(1)
  assert.deepEqual(await ledger.cosignedSizes(10), [1])
  await ledger.forgetCosignatures(2)
  assert.deepEqual(await ledger.cosignedSizes(10), [])
})

test("of checkpoints that never met the quorum, the newest hundred keep their cosignatures", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  for (let size = 1; size <= 150; size++) {
    const from = (await ledger.head()) ?? (await ledger.fence())
    await ledger.commit(commitOf(from, [published(size - 1, `1.0.${size}`, String(size).padStart(64, "0"))]))
    await ledger.addCosignatures(size, [{ vkey: "w1", line: "line" }])
    await ledger.forgetCosignatures(10)
  }
  const sizes = await ledger.cosignedSizes(1000)
  assert.deepEqual([sizes.length, sizes[0], sizes[99], sizes[100]], [101, 150, 51, 10])
  assert.equal(await ledger.firstCheckpoint(), 1)
})

test("a database of somebody else is refused, and one made before the log", async (t) => {
  const [other, old] = [tempFile(t), tempFile(t)]
  const db = new DatabaseSync(other)
  db.exec("CREATE TABLE other (a)")
  db.close()
  assert.throws(() => new SqliteLedger(other), { code: "USAGE" })
  const before = new DatabaseSync(old)
  before.exec("CREATE TABLE manifests (a); PRAGMA application_id = 0x574c5247; PRAGMA user_version = 1")
  before.close()
  assert.throws(() => new SqliteLedger(old), { code: "USAGE", message: /before the registry kept a log/ })
})

test("garbage and torn files are refused", async (t) => {
  const garbage = tempFile(t)
  writeFileSync(garbage, "this is not a database, and it is long enough to be looked at ".repeat(100))
  assert.throws(() => new SqliteLedger(garbage), { code: "STORE_FAILED" })
  const torn = tempFile(t)
  const ledger = new SqliteLedger(torn)
  const digest = (i: number): string => i.toString(16).padStart(64, "0")
  const entries = Array.from({ length: 100 }, (_, i) => published(i, `1.0.${i}`, digest(i)))
  await ledger.commit(commitOf(await ledger.fence(), entries))
  await ledger.close()
  const size = readFileSync(torn).length
  const file = openSync(torn, "r+")
  for (let at = 4096; at < size; at += 4096) writeSync(file, Buffer.alloc(64, 0xff), 0, 64, at)
  assert.throws(() => new SqliteLedger(torn), { code: "STORE_FAILED" })
})

test("what a commit wrote is read as soon as it resolves, also while others wait", async (t) => {
  const ledger = new SqliteLedger(tempFile(t))
  t.after(() => ledger.close())
  let head = await ledger.fence()
  for (let i = 0; i < 200; i++) {
    const digest = i.toString(16).padStart(64, "0")
    const commit = commitOf(head, [published(i, `1.0.${i}`, digest)])
    const others = ledger.recordBlobs([{ sha256: digest, size: i }])
    await ledger.commit(commit)
    const [facts] = await ledger.facts([{ model: "acme/mnist", version: `1.0.${i}`, blobs: [digest] }])
    assert.deepEqual([facts?.holder, facts?.missing], [{ index: i, digest }, []]) // asked for before the commit: done before it
    assert.equal((await headOf(ledger)).size, i + 1)
    await others
    head = { ...commit.to, epoch: head.epoch }
  }
})

test("closing ends what was asked for before, and refuses what comes after", async (t) => {
  const path = tempFile(t)
  const ledger = new SqliteLedger(path)
  const head = await ledger.fence()
  const committed = ledger.commit(commitOf(head, [published(0, "1.0.0", hex("c"))]))
  await Promise.all([ledger.close(), committed])
  await ledger.close()
  await assert.rejects(ledger.recordBlobs([]), { code: "UNAVAILABLE" })
  const after = new SqliteLedger(path)
  t.after(() => after.close())
  assert.equal((await headOf(after)).size, 1)
})

test(
  "a writer that cannot start or has died refuses every write, and closing it ends",
  { timeout: 300_000 },
  async (t) => {
    const path = tempFile(t)
    const ledger = new SqliteLedger(path)
    renameSync(path, `${path}.gone`)
    mkdirSync(path) // the thread's own connection finds no database there
    await assert.rejects(ledger.fence(), { code: "STORE_FAILED" })
    await assert.rejects(ledger.recordBlobs([]), { code: "STORE_FAILED" })
    await ledger.close()
  },
)

test("one writer at a time", (t) => {
  const path = `${tempFile(t)}.lock`
  const lock = lockWriter(path)
  assert.throws(() => lockWriter(path), { code: "CONFLICT" })
  lock.release()
  lockWriter(path).release()
})

test("the WAL is copied back between commits, and nothing is lost", async (t) => {
  const path = tempFile(t)
  const ledger = new SqliteLedger(path)
  const digest = (i: number): string => i.toString(16).padStart(64, "0")
  let head = await ledger.fence()
  for (let start = 0; start < 5000; start += 100) {
    const entries = Array.from({ length: 100 }, (_, i) => published(start + i, `1.0.${start + i}`, digest(start + i)))
    const commit = commitOf(head, entries)
    await ledger.commit(commit)
    head = { ...commit.to, epoch: head.epoch }
    await new Promise((resolve) => setImmediate(resolve))
  }
  await ledger.close()
  assert.ok(!existsSync(`${path}-wal`))
  const after = new SqliteLedger(path)
  t.after(() => after.close())
  assert.equal((await after.entries(0, 5000)).length, 5000)
  assert.deepEqual(new Uint8Array((await headOf(after)).root), root(5000 % 256))
})

test("a thread that cannot begin to write is STORE_FAILED for all that was asked; closing is no error", async (t) => {
  const path = tempFile(t)
  const ledger = new SqliteLedger(path)
  renameSync(path, `${path}.away`)
  mkdirSync(path)
  const asked = [ledger.fence(), ledger.recordBlobs([])]
  for (const one of asked) await assert.rejects(one, { name: "RegistryError", code: "STORE_FAILED" })
  await assert.rejects(ledger.fence(), { code: "STORE_FAILED" })
  await ledger.close()
  await assert.rejects(ledger.fence(), { code: "UNAVAILABLE" })
})
