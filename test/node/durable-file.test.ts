/** Small files: whole or absent, never over what is there, and what a killed process leaves is in nobody's way. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { createFile, makeFolder, moveDurably, replaceFile, syncFolder, temporaryIn } from "@weighlock/node"
import { SyncedNames } from "../support/synced-names.ts"
import { smallDisk, tempFolder } from "../support/temp.ts"

test("createFile: 0600 unless told, whole, never over another, nothing left beside", async (t) => {
  const folder = tempFolder(t)
  const path = join(folder, "alice.pem")
  assert.equal(await createFile(path, "key"), true)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(await createFile(path, "other"), false)
  assert.equal(readFileSync(path, "utf8"), "key")
  await createFile(join(folder, "public"), Buffer.from("all"), { mode: 0o640 })
  assert.equal(statSync(join(folder, "public")).mode & 0o777, 0o640)
  assert.deepEqual(readdirSync(folder).toSorted(), ["alice.pem", "public"])
})

test("createFile: whatever has the name stays: an empty file, a folder, a link to nothing", async (t) => {
  const folder = tempFolder(t)
  writeFileSync(join(folder, "empty"), "")
  mkdirSync(join(folder, "folder"))
  symlinkSync("nowhere", join(folder, "link"))
  for (const name of ["empty", "folder", "link"]) assert.equal(await createFile(join(folder, name), "new"), false)
  assert.equal(readFileSync(join(folder, "empty"), "utf8"), "")
  assert.deepEqual(readdirSync(folder).toSorted(), ["empty", "folder", "link"])
})

test("createFile: of twenty at once one makes it, and its bytes are there", async (t) => {
  const path = join(tempFolder(t), "file")
  const made = await Promise.all(Array.from({ length: 20 }, (_, i) => createFile(path, `by ${i}`)))
  assert.equal(made.filter(Boolean).length, 1)
  assert.equal(readFileSync(path, "utf8"), `by ${made.indexOf(true)}`)
})

test("replaceFile: over what is there, and where nothing is", async (t) => {
  const folder = tempFolder(t)
  const path = join(folder, "trust.json")
  await replaceFile(path, "one", { mode: 0o644 })
  await replaceFile(path, "two", { mode: 0o644 })
  assert.equal(readFileSync(path, "utf8"), "two")
  assert.deepEqual(readdirSync(folder), ["trust.json"])
})

test("both sync the folder after the name, or leave that to the caller; no folder's name is left out", async (t) => {
  const names = await SyncedNames.watch(t)
  if (names === null) return
  const folder = tempFolder(t)
  await makeFolder(join(folder, "a", "b", "c"))
  await createFile(join(folder, "a", "b", "created"), "1")
  await replaceFile(join(folder, "a", "b", "c", "replaced"), "2")
  await createFile(join(folder, "a", "later"), "3", { folder: "later" })
  assert.deepEqual(names.missing(join(folder, "a")), ["later"])
  await syncFolder(join(folder, "a"))
  assert.deepEqual(names.missing(join(folder, "a")), [])
})

test("a folder that a killed process has made, and not synced, is synced by who comes next", async (t) => {
  const names = await SyncedNames.watch(t)
  if (names === null) return
  const folder = join(tempFolder(t), "made")
  mkdirSync(folder)
  await makeFolder(join(folder, "below"))
  assert.deepEqual(names.missing(folder), [])
})

test("makeFolder: a file in the way is an error; of twenty at once all have it", async (t) => {
  const folder = tempFolder(t)
  writeFileSync(join(folder, "file"), "")
  await assert.rejects(makeFolder(join(folder, "file")), { code: "EEXIST" })
  await assert.rejects(makeFolder(join(folder, "file", "below")), { code: /^(ENOTDIR|EEXIST)$/ })
  await Promise.all(Array.from({ length: 20 }, () => makeFolder(join(folder, "x", "y"))))
  assert.equal(statSync(join(folder, "x", "y")).mode & 0o777, 0o700)
})

test("what killed processes left goes after an hour, whatever else is there stays", async (t) => {
  const folder = tempFolder(t)
  const [old, young] = [temporaryIn(folder), temporaryIn(folder)]
  const others = [".weighlock-notes.tmp", ".other.tmp", "weighlock-0123456789abcdef.tmp"].map((name) =>
    join(folder, name),
  )
  for (const path of [old, young, ...others]) writeFileSync(path, "half")
  const before = new Date(Date.now() - 2 * 3_600_000)
  for (const path of [old, ...others]) utimesSync(path, before, before)
  await createFile(join(folder, "file"), "")
  assert.equal(existsSync(old), false)
  for (const path of [young, ...others]) assert.ok(existsSync(path), path)
})

test(
  "a folder that may be written to and not read",
  { skip: process.getuid?.() === 0 && "root reads all" },
  async (t) => {
    const folder = join(tempFolder(t), "drop")
    mkdirSync(folder)
    chmodSync(folder, 0o300)
    assert.equal(await createFile(join(folder, "file"), "x"), true)
  },
)

test("a disk that is full: an error, and nothing is left", async (t) => {
  const folder = smallDisk(t, "64k")
  if (folder === null) return
  const path = join(folder, "file")
  await replaceFile(path, "before")
  for (const write of [createFile, replaceFile]) {
    const target = write === createFile ? join(folder, "other") : path
    await assert.rejects(write(target, Buffer.alloc(1_000_000)), { code: "ENOSPC" })
  }
  assert.deepEqual(readdirSync(folder), ["file"])
  assert.equal(readFileSync(path, "utf8"), "before")
})

test("onto a mount point: the error says so, what to do, and keeps the system's code", async (t) => {
  const mounted = smallDisk(t, "64k")
  if (mounted === null) return
  const error = { code: "EBUSY", message: /mount point.*mount the folder above it, or name a path inside it/ }
  const other = `${mounted}.other`
  mkdirSync(other)
  await assert.rejects(moveDurably(other, mounted), error)

  const [file, below] = [join(other, "trust.json"), join(other, "mounted.json")]
  for (const path of [file, below]) writeFileSync(path, "{}")
  execFileSync("mount", ["--bind", file, below])
  t.after(() => {
    execFileSync("umount", [below])
    rmSync(other, { recursive: true })
  })
  await assert.rejects(replaceFile(below, "{ }"), error)
  assert.deepEqual(readdirSync(other).toSorted(), ["mounted.json", "trust.json"])
})
