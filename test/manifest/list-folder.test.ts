/** What a listing takes, leaves out and refuses: rules of the publisher, and symbolic links that are followed. */
import assert from "node:assert/strict"
import { cpSync, mkdirSync, realpathSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { test, type TestContext } from "node:test"
import { hashFolder, type LeaveOutRules, listFiles, listFolder } from "@weighlock/manifest/node"
import { tempFolder } from "../support/temp.ts"

function folderOf(t: TestContext, ...names: readonly string[]): string {
  const folder = join(tempFolder(t), "model")
  mkdirSync(folder)
  for (const name of names) write(join(folder, name), name)
  return folder
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

function link(target: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(target, path)
}

const junk = (...wanted: readonly string[]): LeaveOutRules => ({
  enter: () => Promise.resolve(),
  why: (path, isFolder) => (isFolder && path.endsWith("junk") ? "junk" : null),
  wants: (path) => wanted.some((name) => name === path || name.startsWith(`${path}/`)),
})

test("what rules leave out is named once, whole folders as one path", async (t) => {
  const folder = folderOf(t, "a", "junk/b", "junk/c", "sub/junk/d", ".git/HEAD", "skip/e")
  const { files, leftOut } = await listFolder(folder, { rules: junk(), exclude: ["skip"] })
  assert.deepEqual(
    files.map(({ name }) => name),
    ["a"],
  )
  assert.deepEqual(
    leftOut.map(({ path, why }) => [path, why]),
    [
      [".git", "Git's own, never part of a model"],
      ["junk", "junk"],
      ["skip", "--exclude"],
      ["sub/junk", "junk"],
    ],
  )
})

test("a wanted file in a folder that is left out: the rest of the folder is left out one by one", async (t) => {
  const folder = folderOf(t, "a", "junk/b", "junk/c", "junk/deep/d", "junk/other/e")
  const { files, leftOut } = await listFolder(folder, { rules: junk("junk/c", "junk/deep/d") })
  assert.deepEqual(
    files.map(({ name }) => name),
    ["a", "junk/c", "junk/deep/d"],
  )
  assert.deepEqual(
    leftOut.map(({ path }) => path),
    ["junk/b", "junk/other"],
  )
})

test("a snapshot of a Hub cache is taken as the files its links mean", async (t) => {
  const repository = join(tempFolder(t), "models--acme--tiny")
  const snapshot = join(repository, "snapshots", "5f3c")
  write(join(repository, "blobs", "aa"), "weights")
  write(join(repository, "blobs", "bb"), "config")
  link("../../blobs/aa", join(snapshot, "model.safetensors"))
  link("../../../blobs/bb", join(snapshot, "onnx", "config.json"))
  await assert.rejects(listFiles(snapshot), { code: "MANIFEST_INVALID", hint: /--follow-symlinks/ })
  const files = await listFiles(snapshot, { followSymlinks: true })
  assert.deepEqual(
    files.map(({ name, size, path }) => [name, size, path]),
    [
      ["model.safetensors", 7, realpathSync(join(repository, "blobs", "aa"))],
      ["onnx/config.json", 6, realpathSync(join(repository, "blobs", "bb"))],
    ],
  )
  const hashed = await hashFolder(snapshot, { followSymlinks: true })
  assert.deepEqual(
    hashed.map(({ size }) => size),
    [7, 6],
  )
  // Whatever the repository's folder holds is its own; under another name only the contents are.
  write(join(repository, "refs", "main"), "5f3c")
  link("../../refs/main", join(snapshot, "revision"))
  assert.equal((await listFiles(snapshot, { followSymlinks: true })).length, 3)
  const copy = join(repository, "..", "plain")
  cpSync(repository, copy, { recursive: true, verbatimSymlinks: true })
  await assert.rejects(listFiles(join(copy, "snapshots", "5f3c"), { followSymlinks: true }), {
    code: "MANIFEST_INVALID",
  })
  unlinkSync(join(copy, "snapshots", "5f3c", "revision"))
  assert.equal((await listFiles(join(copy, "snapshots", "5f3c"), { followSymlinks: true })).length, 2)
  // A folder below the snapshot, and one file of it, are models as well.
  assert.equal((await listFiles(join(snapshot, "onnx"), { followSymlinks: true })).length, 1)
  const [one] = await listFiles(join(snapshot, "model.safetensors"), { followSymlinks: true })
  assert.deepEqual([one?.name, one?.size], ["model.safetensors", 7])
})

test("links within the folder are taken: to files, to folders, through other links", async (t) => {
  const folder = folderOf(t, "v1/a", "v1/b")
  link("v1", join(folder, "latest"))
  link("latest/a", join(folder, "first"))
  const files = await listFiles(folder, { followSymlinks: true })
  assert.deepEqual(
    files.map(({ name }) => name),
    ["first", "latest/a", "latest/b", "v1/a", "v1/b"],
  )
})

const refusals: Record<string, { make: (folder: string) => void; why: RegExp }> = {
  "to a file outside": { make: (folder) => link("/etc/hostname", join(folder, "x")), why: /leads out of the folder/ },
  "to a folder outside": { make: (folder) => link("..", join(folder, "x")), why: /leads out of the folder/ },
  "through a link within": {
    make: (folder) => {
      link("/etc", join(folder, ".git"))
      link(".git/hostname", join(folder, "x"))
    },
    why: /leads out of the folder/,
  },
  "to nothing": { make: (folder) => link("nowhere", join(folder, "x")), why: /leads nowhere/ },
  "to itself": { make: (folder) => link("x", join(folder, "x")), why: /leads back to itself/ },
  "to the folder it is in": { make: (folder) => link(".", join(folder, "x")), why: /a folder above it/ },
  "round in a circle": {
    make: (folder) => {
      link("../two", join(folder, "one", "x"))
      link("../one", join(folder, "two", "x"))
    },
    why: /a folder above it/,
  },
  "to a sibling whose name begins the same": {
    make: (folder) => {
      write(`${folder}2/secret`, "x")
      link("../model2/secret", join(folder, "x"))
    },
    why: /leads out of the folder/,
  },
}
for (const [where, { make, why }] of Object.entries(refusals)) {
  test(`refused although links are followed: one that leads ${where}`, { timeout: 300_000 }, async (t) => {
    const folder = folderOf(t, "a")
    make(folder)
    await assert.rejects(listFiles(folder, { followSymlinks: true }), { code: "MANIFEST_INVALID", message: why })
  })
}

test("refused: a link of a snapshot that leads out of the repository, or to its folder of blobs", async (t) => {
  const cache = tempFolder(t)
  const snapshot = join(cache, "models--acme--tiny", "snapshots", "5f3c")
  write(join(cache, "models--other--tiny", "blobs", "aa"), "other")
  write(join(cache, "models--acme--tiny", "blobs", "aa"), "ours")
  for (const target of ["../../../models--other--tiny/blobs/aa", "../../blobs", "../.."]) {
    link(target, join(snapshot, "x"))
    await assert.rejects(listFiles(snapshot, { followSymlinks: true }), { code: "MANIFEST_INVALID" })
    unlinkSync(join(snapshot, "x"))
  }
})

test("few folders that link to one another do not become endlessly many", { timeout: 300_000 }, async (t) => {
  const folder = folderOf(t, "a")
  // Each links to all later ones: 2^20 ways down, and nowhere a circle.
  for (let at = 0; at < 20; at++)
    for (let to = at + 1; to < 20; to++) link(`../d${to}`, join(folder, `d${at}`, `d${to}`))
  mkdirSync(join(folder, "d19"))
  await assert.rejects(listFiles(folder, { followSymlinks: true }), { code: "TOO_LARGE" })
})
