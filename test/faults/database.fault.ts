/**
 * Whoever can write the registry's files: rows edited with the triggers out of the way, an old database put back, the copy of
 * the checkpoint taken away, a second process. Refused at start, or, where a start looks at less, found by an audit.
 */
import assert from "node:assert/strict"
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { after, before, type TestContext, test } from "node:test"

import { audit } from "@weighlock/client"

import { makeWorld, signed, startPeer, type World } from "../registry/support.ts"
import { tempFolder } from "../support/temp.ts"
import { Checker } from "./checker/check.ts"
import { Journal, journalFolder } from "./checker/journal.ts"
import { openKey } from "./checker/note.ts"
import { overHttp, readLog } from "./checker/served-log.ts"
import { blob, publishMany, publishOne, vkeyOf } from "./load.ts"
import { StartRefused, startVictim, type Victim } from "./victim.ts"

/** 600 entries: two full bundles and a part; one payload too large for its entry. */
const size = 600
let world: World
const later: (() => void | Promise<void>)[] = []
after(async () => {
  for (const step of later) await step()
})

before(async () => {
  const t = { after: (step: () => void) => later.push(step) } as unknown as TestContext
  world = await makeWorld(t)
  const peer = await startPeer(t, {}, world)
  await peer.upload(blob)
  const metadata = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`k${i}`, "x".repeat(1000)]))
  const large = await peer.publish(await signed(world, [blob], { version: "9.0.0", metadata }))
  assert.equal(large.status, 201)
  await publishMany(peer, { world, inFlight: 32 }, 0, size - 3)
  await peer.close()
})

/** The registry's folder once more, for a test to spoil. */
function copyOfWorld(t: TestContext): World {
  const folder = tempFolder(t)
  cpSync(world.folder, folder, { recursive: true })
  return { ...world, folder, trust: join(folder, "trust.json") }
}

const ledgerOf = ({ folder }: World): string => join(folder, "data", "ledger.sqlite")

/** As somebody who knows what they are doing: the triggers go, and come back when the deed is done. */
function edit(world: World, ...statements: readonly string[]): void {
  const db = new DatabaseSync(ledgerOf(world), { enableForeignKeyConstraints: false })
  const triggers = db.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
  for (const { name } of triggers) db.exec(`DROP TRIGGER ${String(name)}`)
  for (const statement of statements) {
    assert.ok(db.prepare(statement).run().changes > 0, `nothing was changed by ${statement}`)
  }
  for (const { sql } of triggers) db.exec(String(sql))
  db.close()
}

/** How it was found: the code of the refusal, or what an audit of the registry that did start says. */
async function foundBy(t: TestContext, world: World): Promise<string> {
  let victim: Victim
  try {
    victim = await startVictim(t, world)
  } catch (error) {
    if (!(error instanceof StartRefused)) throw error
    // USAGE: the trust root of the row is taken for the folder's own.
    assert.match(error.stderr, /code: '(STORE_FAILED|USAGE)'/)
    return "refused at start"
  }
  const report = await audit({
    source: { kind: "registry", url: victim.peer.url },
    trust: world.trust,
    state: join(world.folder, "state"),
  })
  await victim.peer.close()
  const [first] = report.findings
  return first ? `found by audit: ${first.check}: ${first.message}` : "not found"
}

const flip = (column: string, at: number): string =>
  `${column} = CAST(substr(${column}, 1, ${at}) || x'55' || substr(${column}, ${at + 2}) AS BLOB)`

const edits: Readonly<Record<string, readonly string[]>> = {
  "an old entry": [`UPDATE log_entries SET ${flip("leaf", 40)} WHERE idx = 10`],
  "a new entry": [`UPDATE log_entries SET ${flip("leaf", 40)} WHERE idx = ${size - 1}`],
  "an entry's hash": [`UPDATE log_entries SET ${flip("hash", 3)} WHERE idx = 300`],
  "the last entry's hash": [`UPDATE log_entries SET ${flip("hash", 3)} WHERE idx = ${size - 1}`],
  "an entry's place": [`UPDATE log_entries SET seq = 100000 WHERE idx = 20`],
  "an entry is gone": ["DELETE FROM manifests WHERE idx = 400", "DELETE FROM log_entries WHERE idx = 400"],
  "two entries changed places": [
    "UPDATE log_entries SET idx = 100000 WHERE idx = 50",
    "UPDATE log_entries SET idx = 50 WHERE idx = 51",
    "UPDATE log_entries SET idx = 51 WHERE idx = 100000",
  ],
  "a tile": [`UPDATE log_tiles SET ${flip("hashes", 100)} WHERE level = 0 AND n = 1`],
  "a tile is gone": ["DELETE FROM log_tiles WHERE level = 0 AND n = 0"],
  "the head's root": [`UPDATE log_head SET ${flip("root", 0)}`],
  "the head's size": [`UPDATE log_head SET size = size - 1`],
  "the last checkpoint": [`UPDATE log_checkpoints SET note = replace(note, '${size}', '601') WHERE size = ${size}`],
  "the last checkpoint is gone": [`DELETE FROM log_checkpoints WHERE size = ${size}`],
  "a version names another manifest": [`UPDATE manifests SET digest = '${"0".repeat(64)}' WHERE version = '0.0.7'`],
  "a version's name": ["UPDATE manifests SET version = '7.7.7' WHERE version = '0.0.7'"],
  "a version's index": ["UPDATE manifests SET idx = 100000 WHERE version = '0.0.7'"],
  "a version is gone": ["DELETE FROM manifests WHERE version = '0.0.7'"],
  "a version that was never published": [
    `INSERT INTO manifests SELECT 100000, '${"1".repeat(64)}', model, '8.8.8', created_at FROM manifests WHERE version = '0.0.7'`,
  ],
  "two versions changed names": [
    "UPDATE manifests SET version = 'x' WHERE version = '0.0.7'",
    "UPDATE manifests SET version = '0.0.7' WHERE version = '0.0.8'",
    "UPDATE manifests SET version = '0.0.8' WHERE version = 'x'",
  ],
  "when a version was made": ["UPDATE manifests SET created_at = '2020-01-01T00:00:00Z' WHERE version = '0.0.7'"],
  "a large payload": [`UPDATE payloads SET ${flip("bytes", 500)}`],
  "a large payload is gone": ["DELETE FROM payloads"],
  "the trust root's digest": [`UPDATE trust_roots SET digest = '${"2".repeat(64)}'`],
  "the trust root is gone": ["DELETE FROM trust_roots"],
  "the trust root's index": ["UPDATE trust_roots SET idx = 5"],
  "the end of the log, with its head and checkpoint set back": [
    `DELETE FROM manifests WHERE idx = ${size - 1}`,
    `DELETE FROM log_entries WHERE idx = ${size - 1}`,
    `DELETE FROM log_checkpoints WHERE size >= ${size - 1}`,
    `UPDATE log_head SET size = ${size - 1}`,
  ],
}

test("an untouched copy starts, and an audit of it is clean", async (t) => {
  assert.equal(await foundBy(t, copyOfWorld(t)), "not found")
})

for (const [name, statements] of Object.entries(edits)) {
  test(`edited: ${name}`, async (t) => {
    const copy = copyOfWorld(t)
    edit(copy, ...statements)
    const found = await foundBy(t, copy)
    t.diagnostic(found)
    assert.notEqual(found, "not found")
  })
}

test("an old database put back is refused", async (t) => {
  const copy = copyOfWorld(t)
  const old = readFileSync(ledgerOf(copy))
  const victim = await startVictim(t, copy)
  await publishOne(victim.peer, { world: copy, inFlight: 1 }, "1.0.0")
  await victim.peer.close()
  writeFileSync(ledgerOf(copy), old)
  rmSync(`${ledgerOf(copy)}-wal`, { force: true })
  rmSync(`${ledgerOf(copy)}-shm`, { force: true })
  assert.equal(await foundBy(t, copy), "refused at start")
})

test("the whole data folder put back is refused where the log is published to a folder", async (t) => {
  const copy = copyOfWorld(t)
  const config = { publishLog: join(copy.folder, "published") }
  const old = join(copy.folder, "old")
  cpSync(join(copy.folder, "data"), old, { recursive: true })
  const victim = await startVictim(t, copy, config)
  await publishOne(victim.peer, { world: copy, inFlight: 1 }, "1.0.0")
  await victim.peer.close()
  rmSync(join(copy.folder, "data"), { recursive: true })
  cpSync(old, join(copy.folder, "data"), { recursive: true })
  await assert.rejects(startVictim(t, copy, config), /are not the beginning of this log/)
})

test("an empty database, or none, is refused where there was one", async (t) => {
  const copy = copyOfWorld(t)
  rmSync(ledgerOf(copy))
  assert.equal(await foundBy(t, copy), "refused at start")
  writeFileSync(ledgerOf(copy), "")
  assert.equal(await foundBy(t, copy), "refused at start")
})

const slot = 4096
const copies: Readonly<Record<string, readonly [(path: string) => void, "refused at start" | "not found"]>> = {
  "is gone": [(path) => rmSync(path), "refused at start"],
  "is empty": [(path) => writeFileSync(path, ""), "refused at start"],
  "is zeros": [(path) => writeFileSync(path, Buffer.alloc(2 * slot)), "refused at start"],
  "is torn in both places": [(path) => spoil(path, 0, slot), "refused at start"],
  // What a power cut in the middle of the write leaves.
  "is torn in the first place": [(path) => spoil(path, 0), "not found"],
  "is torn in the second place": [(path) => spoil(path, slot), "not found"],
}

function spoil(path: string, ...places: readonly number[]): void {
  const bytes = readFileSync(path)
  for (const place of places) bytes.fill(0x20, place + 60, place + slot)
  writeFileSync(path, bytes)
}

for (const [name, [spoilIt, expected]] of Object.entries(copies)) {
  test(`the copy of the checkpoint ${name}: ${expected}`, async (t) => {
    const copy = copyOfWorld(t)
    spoilIt(join(copy.folder, "data", "checkpoint"))
    assert.equal(await foundBy(t, copy), expected)
  })
}

test("two processes on one folder: the second is refused; without the lock, the first is fenced off", async (t) => {
  const copy = copyOfWorld(t)
  const folder = journalFolder()
  t.after(() => rmSync(folder, { recursive: true }))
  const load = { world: copy, journal: new Journal(folder), inFlight: 1 }
  const first = await startVictim(t, copy)
  await publishOne(first.peer, load, "1.0.0")
  await assert.rejects(startVictim(t, copy), /CONFLICT/)
  // A lock that does not hold (a network file system, a new inode): the ledger itself must not take two writers.
  for (const lock of ["writer.lock", "checkpoint.lock"]) rmSync(join(copy.folder, "data", lock))
  const second = await startVictim(t, copy)
  await publishOne(second.peer, load, "2.0.0")
  await assert.rejects(publishOne(first.peer, load, "3.0.0"))
  assert.notEqual(await first.gone, 0)
  await publishOne(second.peer, load, "4.0.0")
  const checker = new Checker(openKey(vkeyOf(copy)))
  checker.take(await readLog(overHttp(second.peer.url)))
  for (const line of load.journal.lines()) checker.line(line)
  assert.equal(checker.verdict.acknowledged, 3)
})
