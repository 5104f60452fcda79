/**
 * Promise 2: a database that was edited, restored or taken away is not served. Every table is edited by SQL, with the
 * triggers taken out and put back; the registry refuses to start, and `fsck` names the row.
 */
import assert from "node:assert/strict"
import { copyFile, cp, readFile, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"

import { CheckpointCopy, fsck } from "@weighlock/registry"

import { type Peer, type World, makeWorld, random, signed, startPeer } from "./support.ts"
import { sample } from "../support/thorough.ts"

const dataOf = ({ folder }: World): string => join(folder, "data")
const ledgerOf = (world: World): string => join(dataOf(world), "ledger.sqlite")
const copyOf = (world: World): string => join(dataOf(world), "checkpoint")

/** More than one full tile, a payload of its own, two models. */
async function publishTo(peer: Peer, count: number, model = "acme/mnist"): Promise<void> {
  const bytes = random(10)
  await peer.upload(bytes)
  const metadata = { license: "x".repeat(9000) }
  const envelopes = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      signed(peer.world, [bytes], { model, version: `1.0.${i}`, ...(i === 0 && { metadata }) }),
    ),
  )
  const replies = await Promise.all(envelopes.map((envelope) => peer.publish(envelope, model)))
  assert.ok(replies.every(({ status }) => status === 201))
}

async function stopped(t: TestContext, count: number): Promise<World> {
  const peer = await startPeer(t)
  await publishTo(peer, count)
  await peer.close()
  return peer.world
}

/** Runs SQL as somebody would who knows the schema: triggers out, change, triggers back as they were. */
function edit(path: string, sql: string): void {
  const db = new DatabaseSync(path)
  try {
    const triggers = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").all()
    for (const { name } of triggers) db.exec(`DROP TRIGGER ${String(name)}`)
    db.exec(`PRAGMA foreign_keys = OFF; ${sql}`)
    for (const trigger of triggers) db.exec(String(trigger["sql"]))
  } finally {
    db.close()
  }
}

const garbled = (column: string): string => `CAST(replace(CAST(${column} AS TEXT), '"at":1', '"at":2') AS BLOB)`
const edits: Readonly<Record<string, [sql: string, rule: string]>> = {
  "a leaf": [`UPDATE log_entries SET leaf = ${garbled("leaf")} WHERE idx = 7`, "leaf"],
  "a hash": ["UPDATE log_entries SET hash = zeroblob(32) WHERE idx = 7", "leaf"],
  "an entry taken away": ["DELETE FROM log_entries WHERE idx = 7", "leaf"],
  "the last entry taken away": ["DELETE FROM log_entries WHERE idx = 301", "leaf"],
  "an entry more": [
    "INSERT INTO log_entries SELECT 302, hash, 'acme/other', 0, leaf FROM log_entries WHERE idx = 301",
    "head",
  ],
  "two entries swapped": [
    `CREATE TEMP TABLE a AS SELECT * FROM log_entries WHERE idx = 7; CREATE TEMP TABLE b AS SELECT * FROM log_entries WHERE idx = 8;
     DELETE FROM log_entries WHERE idx IN (7, 8); INSERT INTO log_entries SELECT 8, hash, model, seq, leaf FROM a;
     INSERT INTO log_entries SELECT 7, hash, model, seq, leaf FROM b`,
    "tile",
  ],
  "an entry's model": ["UPDATE log_entries SET model = 'acme/other' WHERE idx = 7", "row"],
  "an entry's seq": ["UPDATE log_entries SET seq = 9999 WHERE idx = 7", "row"],
  "a tile": ["UPDATE log_tiles SET hashes = zeroblob(8192)", "tile"],
  "a tile taken away": ["DELETE FROM log_tiles", "tile"],
  "a tile more": ["INSERT INTO log_tiles VALUES (0, 1, zeroblob(8192))", "tile"],
  "the head's root": ["UPDATE log_head SET root = zeroblob(32)", "head"],
  "the head's size": ["UPDATE log_head SET size = 301", "head"],
  "the head taken away": ["DELETE FROM log_head", "head"],
  "the last checkpoint": [
    "UPDATE log_checkpoints SET note = replace(note, '302', '303') WHERE size = 302",
    "checkpoint",
  ],
  "the last checkpoint taken away": ["DELETE FROM log_checkpoints WHERE size = 302", "checkpoint"],
  "a checkpoint beyond the head": [
    "INSERT INTO log_checkpoints SELECT 999, note FROM log_checkpoints WHERE size = 302",
    "checkpoint",
  ],
  "a manifest's version": ["UPDATE manifests SET version = '9.9.9' WHERE idx = 7", "row"],
  "a manifest's digest": [`UPDATE manifests SET digest = '${"0".repeat(64)}' WHERE idx = 7`, "row"],
  "a manifest's time": ["UPDATE manifests SET created_at = '2020-01-01T00:00:00Z' WHERE idx = 7", "row"],
  "a manifest taken away": ["DELETE FROM manifests WHERE idx = 7", "database"],
  "a manifest and all about it taken away": [
    "DELETE FROM manifest_blobs WHERE manifest = 7; DELETE FROM manifests WHERE idx = 7",
    "row",
  ],
  "a manifest's blob taken away": ["DELETE FROM manifest_blobs WHERE manifest = 7", "row"],
  "the trust root": [`UPDATE trust_roots SET digest = '${"0".repeat(64)}'`, "row"],
  "a payload": ["UPDATE payloads SET bytes = x'00'", "payload"],
  "a payload taken away": ["DELETE FROM payloads", "payload"],
  "a blob's size": ["UPDATE blobs SET size = size + 1", "blob-facts"],
  "a cosignature": ["INSERT INTO log_cosignatures VALUES (302, 'w.example/w1', 'garbage')", "cosignature"],
  "a trigger dropped": ["CREATE TABLE more (a)", "database"],
}

test("edited rows: each is refused at start, and named by fsck", async (t) => {
  const world = await stopped(t, 300)
  assert.deepEqual((await fsck({ data: dataOf(world), trust: world.trust })).findings, [])
  const original = join(world.folder, "original.sqlite")
  await copyFile(ledgerOf(world), original)
  for (const [name, [sql, rule]] of sample(Object.entries(edits), 5)) {
    await copyFile(original, ledgerOf(world))
    edit(ledgerOf(world), sql)
    const { findings } = await fsck({ data: dataOf(world), trust: world.trust })
    assert.ok(
      findings.some((found) => found.rule === rule),
      `${name}: ${JSON.stringify(findings.slice(0, 5))}`,
    )
    const code = name === "the trust root" ? "USAGE" : "STORE_FAILED"
    await assert.rejects(startPeer(t, {}, world), { code }, name)
  }
  await copyFile(original, ledgerOf(world))
  await (await startPeer(t, {}, world)).close()
})

test("an edited row is named with its index", async (t) => {
  const world = await stopped(t, 3)
  edit(ledgerOf(world), `UPDATE log_entries SET leaf = ${garbled("leaf")} WHERE idx = 3`)
  const { size, findings } = await fsck({ data: dataOf(world), trust: world.trust })
  assert.equal(size, 5)
  const [first] = findings
  assert.deepEqual([first?.rule, first?.place, first?.index], ["leaf", "log_entries 3", 3])
})

test("a leaf and its hash edited together contradict the root", async (t) => {
  const { createHash } = await import("node:crypto")
  const world = await stopped(t, 3)
  const db = new DatabaseSync(ledgerOf(world))
  const leaf = Buffer.from(db.prepare("SELECT leaf FROM log_entries WHERE idx = 3").get()?.["leaf"] as Uint8Array)
  db.close()
  const forged = Buffer.from(leaf.toString().replace('"at":1', '"at":2'))
  const hash = createHash("sha256").update(Uint8Array.of(0)).update(forged).digest("hex")
  edit(ledgerOf(world), `UPDATE log_entries SET leaf = x'${forged.toString("hex")}', hash = x'${hash}' WHERE idx = 3`)
  await assert.rejects(startPeer(t, {}, world), { code: "STORE_FAILED", message: /log_head/ })
})

test("a database restored from an old backup is behind what was published", async (t) => {
  const world = await stopped(t, 3)
  const backup = join(world.folder, "backup.sqlite")
  await copyFile(ledgerOf(world), backup)
  const peer = await startPeer(t, {}, world)
  await publishTo(peer, 2, "acme/other")
  await peer.close()
  await copyFile(backup, ledgerOf(world))
  await assert.rejects(startPeer(t, {}, world), { code: "STORE_FAILED", hint: /registry fsck/, message: /an old one/ })
  const { findings } = await fsck({ data: dataOf(world), trust: world.trust })
  assert.deepEqual(new Set(findings.map(({ rule }) => rule)), new Set(["copy"]))
})

test("a whole folder restored is caught by a copy that is kept elsewhere", async (t) => {
  const world = await makeWorld(t)
  const config = { checkpointCopy: join(world.folder, "elsewhere", "checkpoint") }
  const first = await startPeer(t, config, world)
  await publishTo(first, 2)
  await first.close()
  await cp(dataOf(world), join(world.folder, "backup"), { recursive: true })
  const second = await startPeer(t, config, world)
  await publishTo(second, 1, "acme/other")
  await second.close()
  await rm(dataOf(world), { recursive: true })
  await rename(join(world.folder, "backup"), dataOf(world))
  await assert.rejects(startPeer(t, config, world), { code: "STORE_FAILED", message: /an old one/ })
})

test("a database of the same size with another history is refused", async (t) => {
  const world = await makeWorld(t)
  const [one, two] = [await startPeer(t, {}, world), await startPeer(t, { data: join(world.folder, "data2") }, world)]
  await publishTo(one, 2)
  await publishTo(two, 2)
  await Promise.all([one.close(), two.close()])
  await copyFile(join(world.folder, "data2", "ledger.sqlite"), ledgerOf(world))
  await assert.rejects(startPeer(t, {}, world), { code: "STORE_FAILED", message: /published at \d entries/ })
})

test("the copy taken away, emptied or garbled is refused; one torn slot is what a crash leaves", async (t) => {
  const world = await stopped(t, 3)
  const copy = await readFile(copyOf(world))
  assert.equal(copy.length, 8192)
  await rm(copyOf(world))
  await assert.rejects(startPeer(t, {}, world), { code: "STORE_FAILED" })
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(8192), Buffer.from("garbage"), copy.map((byte) => byte ^ 1)]) {
    await writeFile(copyOf(world), bytes)
    await assert.rejects(startPeer(t, {}, world), { code: "STORE_FAILED" })
  }
  for (const torn of [copy.fill(0x41, 100, 200)]) {
    await writeFile(copyOf(world), torn)
    await (await startPeer(t, {}, world)).close()
  }
  await writeFile(copyOf(world), (await CheckpointCopy.read(copyOf(world)))?.[0] ?? "") // as a plain file, from elsewhere
  await (await startPeer(t, {}, world)).close()
})

test("a database that is ahead of the copy by the last commit is what a crash leaves", async (t) => {
  const world = await stopped(t, 1)
  const copy = await readFile(copyOf(world))
  const peer = await startPeer(t, {}, world)
  await publishTo(peer, 1, "acme/other")
  await peer.close()
  await writeFile(copyOf(world), copy)
  await (await startPeer(t, {}, world)).close()
  const slots = await CheckpointCopy.read(copyOf(world))
  assert.ok(slots?.some((slot) => slot.split("\n")[1] === "4"))
})

test("a row edited while the registry runs is not served, and nobody is blamed", async (t) => {
  const peer = await startPeer(t)
  await publishTo(peer, 3)
  edit(ledgerOf(peer.world), "UPDATE manifests SET version = '9.9.9' WHERE idx = 3")
  edit(ledgerOf(peer.world), `UPDATE log_entries SET leaf = ${garbled("leaf")} WHERE idx = 4`)
  for (const path of [
    "/api/v1/models/acme/mnist/versions/9.9.9",
    "/api/v1/log/entries?from=0",
    "/api/v1/log/proof/4",
    "/api/v1/models/acme/mnist/history",
    "/log/tile/entries/000.p/5",
  ]) {
    const reply = await peer.call("GET", path)
    assert.deepEqual([reply.status, reply.code], [503, "STORE_FAILED"], path)
  }
})

test("a ledger deleted beside blobs, or beside the copy of a checkpoint, is not begun anew", async (t) => {
  const world = await stopped(t, 1)
  await rm(ledgerOf(world))
  await assert.rejects(startPeer(t, {}, world), { code: "STORE_FAILED" })
  await rm(join(dataOf(world), "blobs"), { recursive: true })
  await assert.rejects(startPeer(t, {}, world), { code: "STORE_FAILED", message: /an old one/ })
})

test("data of the version before is sound to fsck, edited or not is told, and a start takes it up", async (t) => {
  const world = await stopped(t, 3)
  const findings = async () => (await fsck({ data: dataOf(world), trust: world.trust })).findings
  edit(ledgerOf(world), "DROP TABLE unrecorded_blobs; PRAGMA user_version = 2")
  assert.deepEqual(await findings(), [])
  await (await startPeer(t, {}, world)).close()
  assert.deepEqual(await findings(), [])
  edit(ledgerOf(world), "DROP TABLE unrecorded_blobs; DROP INDEX manifest_blobs_by_blob; PRAGMA user_version = 2")
  assert.deepEqual(
    (await findings()).map(({ rule }) => rule),
    ["database"],
  )
})

test("data from before the log is refused with what to do", async (t) => {
  const world = await makeWorld(t)
  const peer = await startPeer(t, {}, world)
  await peer.close()
  edit(ledgerOf(world), "PRAGMA user_version = 1")
  await assert.rejects(startPeer(t, {}, world), {
    code: "USAGE",
    message: /before the registry kept a log/,
    hint: /publish/,
  })
})

test("an index that leads elsewhere is refused at start, and named by fsck", async (t) => {
  const world = await stopped(t, 20)
  const bytes = await readFile(ledgerOf(world))
  // The version as an index holds it: after its model, without the row's time behind it.
  const entries: number[] = []
  for (let at = bytes.indexOf("acme/mnist1.0.7"); at !== -1; at = bytes.indexOf("acme/mnist1.0.7", at + 1)) {
    if (
      !bytes
        .subarray(at + 15, at + 35)
        .toString("latin1")
        .startsWith("2026-")
    )
      entries.push(at)
  }
  assert.equal(entries.length, 1)
  bytes[(entries[0] ?? 0) + 14] = "8".charCodeAt(0) + 1
  await writeFile(ledgerOf(world), bytes)
  await assert.rejects(startPeer(t, {}, world), { code: "STORE_FAILED" })
  const { findings } = await fsck({ data: dataOf(world), trust: world.trust })
  assert.ok(findings.some(({ rule }) => rule === "row") && findings.some(({ rule }) => rule === "database"))
})

test("fsck of a registry that runs and is published to finds nothing", async (t) => {
  const peer = await startPeer(t)
  await publishTo(peer, 20)
  const publishing = publishTo(peer, 200, "acme/other")
  for (let i = 0; i < 3; i++) {
    assert.deepEqual((await fsck({ data: dataOf(peer.world), trust: peer.world.trust })).findings, [])
  }
  await publishing
  const { size, findings } = await fsck({ data: dataOf(peer.world), trust: peer.world.trust, hashBlobs: true })
  assert.deepEqual([size, findings], [222, []])
})
