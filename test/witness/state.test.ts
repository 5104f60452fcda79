/** What a witness cosigned it remembers: across restarts, and when its folder was damaged or put back it does not start. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import { addLog, initWitness, type RunningWitness, startWitness, watchedLogs } from "@weighlock/registry"
import { parseVkey } from "@weighlock/tlog"
import { smallDisk } from "../support/temp.ts"
import { every, some } from "../support/thorough.ts"
import { GrownLog, logSigner } from "./grown-log.ts"
import { ask, folderOf, name, start } from "./support.ts"

/** A folder in which this log was cosigned at each of these sizes, and the witness stopped. */
async function used(t: TestContext, log: GrownLog, sizes: readonly number[]): Promise<string> {
  const data = folderOf(t)
  const witness = await start(t, data, [log])
  let from = 0
  for (const size of sizes) {
    log.grow(size - log.size)
    assert.equal((await ask(witness.url, await log.request(from, size))).status, 200)
    from = size
  }
  await witness.close()
  return data
}

async function restart(t: TestContext, data: string): Promise<RunningWitness> {
  const witness = await startWitness({ data, logLevel: "silent" })
  t.after(() => witness.close())
  return witness
}

const copyOf = (data: string): string => join(data, "cosigned", readdirSync(join(data, "cosigned"))[0] ?? "")

/** Opens the database with Node's own SQLite, as somebody with a shell would. */
function meddle(data: string, sql: string): void {
  const db = new DatabaseSync(join(data, "witness.sqlite"))
  try {
    db.exec(sql)
  } finally {
    db.close()
  }
}

test("a restart keeps what was cosigned", async (t) => {
  const log = new GrownLog()
  const data = await used(t, log, [7])
  const witness = await restart(t, data)
  log.grow(3)
  assert.deepEqual(await ask(witness.url, await log.request(0)), { status: 409, type: "text/x.tlog.size", body: "7\n" })
  assert.equal((await ask(witness.url, await log.request(7))).status, 200)
  assert.deepEqual(await watchedLogs({ data }), [{ origin: log.origin, vkeys: [log.signer.vkey], size: 10 }])
})

test("the same witness each time; another name, another folder", async (t) => {
  const data = folderOf(t)
  const first = await initWitness({ data, name })
  assert.deepEqual(await initWitness({ data, name }), first)
  assert.equal(parseVkey(first.vkey)?.type, 4)
  assert.equal(statSync(join(data, "witness-key.pem")).mode & 0o777, 0o600)
  await assert.rejects(initWitness({ data, name: "witness.example/w2" }), { code: "CONFLICT" })
  await assert.rejects(startWitness({ data, name: "witness.example/w2", logLevel: "silent" }), { code: "CONFLICT" })
  for (const bad of ["", "two words", "a+b", "x".repeat(256), "a\nb"]) {
    const empty = folderOf(t)
    await assert.rejects(initWitness({ data: empty, name: bad }), { code: "USAGE" }, JSON.stringify(bad))
    assert.ok(!existsSync(join(empty, "witness-key.pem")))
  }
})

test("one process a folder; none without a witness in it", async (t) => {
  const data = folderOf(t)
  await start(t, data)
  await assert.rejects(restart(t, data), { code: "CONFLICT" })
  const empty = folderOf(t)
  await assert.rejects(restart(t, empty), { code: "USAGE" })
  await assert.rejects(addLog({ data: empty, vkey: logSigner().vkey }), { code: "USAGE" })
  await assert.rejects(watchedLogs({ data: empty }), { code: "USAGE" })
  assert.ok(!existsSync(empty))
  await assert.rejects(startWitness({ data, port: 65_536, logLevel: "silent" }), { code: "CONFLICT" })
})

test("a key is added while the witness cosigns", async (t) => {
  const log = new GrownLog()
  const data = folderOf(t)
  const witness = await start(t, data, [log])
  for (let size = 1; size <= some(60, 3); size++) {
    log.grow(1)
    const asked = ask(witness.url, await log.request(size - 1, size))
    for (let i = 0; i < 4; i++) await addLog({ data, vkey: log.signer.vkey })
    assert.equal((await asked).status, 200)
  }
})

test("what is no log to watch", async (t) => {
  const data = folderOf(t)
  const { vkey } = await initWitness({ data, name })
  const weak = "weak+4d5a1f1d+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
  for (const bad of ["", "none", weak, vkey]) await assert.rejects(addLog({ data, vkey: bad }), { code: "USAGE" }, bad)
  const good = logSigner().vkey
  for (const origin of ["", "two\nlines"]) await assert.rejects(addLog({ data, vkey: good, origin }), { code: "USAGE" })
  assert.deepEqual(await addLog({ data, vkey: good }), { origin: parseVkey(good)?.name, vkeys: [good] })
  assert.deepEqual(await addLog({ data, vkey: good }), { origin: parseVkey(good)?.name, vkeys: [good] })
})

test("the key file: readable by others, garbled, another's, absent", async (t) => {
  const data = await used(t, new GrownLog(), [7])
  const key = join(data, "witness-key.pem")
  const pem = readFileSync(key)
  chmodSync(key, 0o640)
  await assert.rejects(restart(t, data), { code: "USAGE" })
  chmodSync(key, 0o600)
  writeFileSync(key, pem.subarray(0, 60))
  await assert.rejects(restart(t, data), { code: "USAGE" })
  const other = folderOf(t)
  await initWitness({ data: other, name })
  copyFileSync(join(other, "witness-key.pem"), key)
  await assert.rejects(restart(t, data), { code: "STORE_FAILED" })
  rmSync(key)
  await assert.rejects(restart(t, data), { code: "USAGE" })
  await assert.rejects(startWitness({ data, name, logLevel: "silent" }), { code: "USAGE" })
  assert.ok(!existsSync(key))
  writeFileSync(key, pem, { mode: 0o600 })
  await (await restart(t, data)).close()
})

test("an older database is refused: it would cosign a second history", async (t) => {
  const log = new GrownLog()
  const data = await used(t, log, [5])
  const backup = `${data}-backup`
  cpSync(data, backup, { recursive: true })
  const witness = await restart(t, data)
  log.grow(4)
  assert.equal((await ask(witness.url, await log.request(5))).status, 200)
  await witness.close()
  for (const file of ["witness.sqlite", "witness.sqlite-wal", "witness.sqlite-shm"]) {
    rmSync(join(data, file), { force: true })
    if (existsSync(join(backup, file))) copyFileSync(join(backup, file), join(data, file))
  }
  await assert.rejects(restart(t, data), { code: "STORE_FAILED" })
  await assert.rejects(addLog({ data, vkey: log.signer.vkey }), { code: "STORE_FAILED" })
})

test("a lost database is refused, and no new one is made beside what was cosigned", async (t) => {
  const log = new GrownLog()
  const data = await used(t, log, [5])
  rmSync(join(data, "witness.sqlite"))
  await assert.rejects(restart(t, data), { code: "USAGE" })
  await assert.rejects(initWitness({ data, name }), { code: "STORE_FAILED" })
  assert.ok(!existsSync(join(data, "witness.sqlite")))
})

test("the copy beside the database: absent, emptied, of another log, torn", async (t) => {
  const log = new GrownLog()
  const data = await used(t, log, [5, 9])
  const copy = copyOf(data)
  const bytes = readFileSync(copy)
  rmSync(copy)
  await assert.rejects(restart(t, data), { code: "STORE_FAILED" })
  const garbage = Buffer.from(bytes)
  garbage[30] = (garbage[30] ?? 0) ^ 1
  garbage[4096 + 30] = (garbage[4096 + 30] ?? 0) ^ 1
  writeFileSync(copy, garbage)
  await assert.rejects(restart(t, data), { code: "STORE_FAILED" })
  // One slot torn by a crash while it was written: the other, and the database, tell.
  for (const slot of [0, 4096]) {
    writeFileSync(copy, Buffer.from(bytes).fill(0x20, slot + 10, slot + 4096))
    await (await restart(t, data)).close()
  }
})

test("the copies of two logs, one in the place of the other", async (t) => {
  const data = folderOf(t)
  const logs = [new GrownLog().grow(5), new GrownLog(logSigner("b.example"), "b.example").grow(5)]
  const witness = await start(t, data, logs)
  for (const log of logs) assert.equal((await ask(witness.url, await log.request(0))).status, 200)
  await witness.close()
  const [one = "", two = ""] = readdirSync(join(data, "cosigned"))
  copyFileSync(join(data, "cosigned", one), join(data, "cosigned", two))
  await assert.rejects(restart(t, data), { code: "STORE_FAILED" })
})

test("rows that were meddled with", async (t) => {
  for (const [what, sql] of [
    ["rolled back", "UPDATE cosigned SET size = 5"],
    ["another root", "UPDATE cosigned SET root = zeroblob(32)"],
    ["advanced", "UPDATE cosigned SET size = 900"],
    ["another note", "UPDATE cosigned SET note = replace(note, '9', '8')"],
    ["no row", "DELETE FROM cosigned"],
    ["no key", "DELETE FROM log_keys"],
  ] as const) {
    const data = await used(t, new GrownLog(), [5, 9])
    // The triggers stand in the way of the honest; whoever drops them is found by the start-up proof.
    if (what !== "another note" && what !== "advanced")
      assert.throws(() => meddle(data, sql), /kept for ever|only grows|never change/, what)
    meddle(
      data,
      `DROP TRIGGER cosigned_only_grows; DROP TRIGGER cosigned_never_deleted; DROP TRIGGER log_keys_never_deleted; ${sql}`,
    )
    await assert.rejects(restart(t, data), { code: "STORE_FAILED" }, what)
  }
})

test("rows that were meddled with while every trigger stands", async (t) => {
  for (const sql of ["UPDATE cosigned SET note = replace(note, '9', '8')", "UPDATE cosigned SET size = 900"]) {
    const data = await used(t, new GrownLog(), [5, 9])
    meddle(data, sql)
    await assert.rejects(restart(t, data), { code: "STORE_FAILED" }, sql)
  }
})

test("flipped bytes anywhere in the database: refused, or what was cosigned is still known", async (t) => {
  const log = new GrownLog()
  const data = await used(t, log, [5, 9])
  await (await restart(t, data)).close() // the WAL is in the file
  const path = join(data, "witness.sqlite")
  const bytes = readFileSync(path)
  let refused = 0
  const step = 499 * every(3)
  for (let at = 0; at < bytes.length; at += step) {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] ?? 0) ^ 0xff
    for (const aside of ["-wal", "-shm"]) rmSync(path + aside, { force: true })
    writeFileSync(path, flipped)
    try {
      const witness = await restart(t, data)
      const reply = await ask(witness.url, await log.request(5, 9))
      assert.equal(reply.body, "9\n", `byte ${at}`)
      await witness.close()
    } catch (error) {
      assert.ok(["STORE_FAILED", "USAGE"].includes((error as { code: string }).code), `byte ${at}: ${String(error)}`)
      refused++
    }
  }
  t.diagnostic(`${refused} of ${Math.ceil(bytes.length / step)} refused`)
})

test("a file that is no witness's state", async (t) => {
  const data = folderOf(t)
  await initWitness({ data, name })
  for (const bytes of [Buffer.from("hello"), Buffer.alloc(4096)]) {
    rmSync(join(data, "witness.sqlite-wal"), { force: true })
    writeFileSync(join(data, "witness.sqlite"), bytes)
    await assert.rejects(restart(t, data), { code: /^(?:STORE_FAILED|USAGE)$/ })
  }
  rmSync(join(data, "witness.sqlite"))
  const db = new DatabaseSync(join(data, "witness.sqlite"))
  db.exec("CREATE TABLE other (id INTEGER)")
  db.close()
  await assert.rejects(restart(t, data), { code: "USAGE" })
})

test("a copy that cannot be opened, for a while: 503, and then that log is cosigned again; others are all the while", async (t) => {
  const [log, other] = [new GrownLog().grow(3), new GrownLog(logSigner("b.example"), "b.example").grow(2)]
  const data = folderOf(t)
  const faults: unknown[] = []
  const witness = await start(t, data, [log, other], { onFatal: (error) => faults.push(error) })
  const copy = join(data, "cosigned", createHash("sha256").update(log.origin).digest("hex"))
  renameSync(copy, `${data}.copy`)
  mkdirSync(copy) // nothing that can be written to
  for (let i = 0; i < 2; i++) {
    const { status, body } = await ask(witness.url, await log.request(0))
    assert.deepEqual([status, body], [503, "what would be cosigned cannot be kept now\n"])
  }
  assert.equal((await ask(witness.url, await other.request(0))).status, 200)
  rmSync(copy, { recursive: true })
  renameSync(`${data}.copy`, copy)
  assert.equal((await ask(witness.url, await log.request(0))).status, 200)
  assert.deepEqual(faults, [])
  await witness.close()
  await (await restart(t, data)).close()
})

test("a disk that takes no more: nothing is answered that was not kept, and the witness stops", async (t) => {
  const disk = smallDisk(t, "2m")
  if (disk === null) return
  const log = new GrownLog().grow(1)
  const data = join(disk, "data")
  const faults: unknown[] = []
  const witness = await start(t, data, [log], { onFatal: (error) => faults.push(error) })
  assert.equal((await ask(witness.url, await log.request(0))).status, 200)
  fill(join(disk, "ballast"))
  let last = { status: 200 }
  while (last.status === 200 && log.size < 1000) {
    log.grow(1)
    last = await ask(witness.url, await log.request(log.size - 1))
  }
  assert.equal(last.status, 503)
  assert.equal(faults.length, 1)
  rmSync(join(disk, "ballast"))
  assert.equal((await ask(witness.url, await log.request(log.size - 1))).status, 503)
  await witness.close()
  const again = await restart(t, data)
  const { status, body } = await ask(again.url, await log.request(0))
  assert.equal(status, 409)
  // The last request has an unknown outcome: kept or not, it was not answered.
  assert.ok([log.size - 1, log.size].includes(Number(body)), body)
})

function fill(path: string): void {
  try {
    for (let block = 65_536; ;) appendFileSync(path, Buffer.alloc(block))
  } catch {
    // full
  }
}
