/** Where the bytes of a pulled folder are: written once, shared with the cache at most, never with another folder. */
import assert from "node:assert/strict"
import {
  accessSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { test } from "node:test"

import { Cache, fetchModel, pullModel } from "@weighlock/client"
import { type Resource, sha256Hex } from "@weighlock/manifest"
import { modelHasher } from "@weighlock/manifest/node"
import { flipByte } from "../support/hostile.ts"
import { hostileClient, largeFiles, reference, sharedShop } from "../support/published.ts"
import { SyncedNames } from "../support/synced-names.ts"
import { smallDisk } from "../support/temp.ts"

const twin = Buffer.alloc(70_000, "twin")
const files: Record<string, Buffer> = { ...largeFiles(), "a/twin.bin": twin, "b/twin.bin": twin }
const shop = await sharedShop(files)
const big = "weights/big.bin"
const digest = sha256Hex(files[big] ?? assert.fail())
const entryOf = (cache: string): string => join(cache, "blobs", "sha256", digest.slice(0, 2), digest)
const inode = (path: string): number => statSync(path).ino

function assertWhole(folder: string): void {
  for (const [name, bytes] of Object.entries(files)) assert.ok(readFileSync(join(folder, name)).equals(bytes), name)
}

test("pull: what was just downloaded is written once; a second folder, and a second name, have bytes of their own", async (t) => {
  const { options, folder } = await hostileClient(t, shop)
  const [one, two] = [join(folder, "one"), join(folder, "two")]
  await pullModel(reference, one, options)
  await pullModel(reference, two, options)
  for (const each of [one, two]) assertWhole(each)
  assert.equal(inode(join(one, big)), inode(entryOf(options.cache)))
  const inodes = ["a/twin.bin", "b/twin.bin"].flatMap((name) => [one, two].map((each) => inode(join(each, name))))
  assert.equal(new Set(inodes).size, 4)
  assert.notEqual(inode(join(two, big)), inode(join(one, big)))
})

test(
  "pull: files have the mode that any new file has, not the cache's",
  { skip: process.platform === "win32" },
  async (t) => {
    const { options, folder } = await hostileClient(t, shop)
    const before = process.umask(0o027)
    t.after(() => process.umask(before))
    await pullModel(reference, join(folder, "one"), options)
    await pullModel(reference, join(folder, "two"), options)
    for (const each of ["one", "two"]) {
      assert.equal(statSync(join(folder, each)).mode & 0o777, 0o750)
      for (const name of Object.keys(files)) assert.equal(statSync(join(folder, each, name)).mode & 0o777, 0o640, name)
    }
  },
)

test("pull: who changes a pulled file changes no other folder; the cache notices, and keeps its hands off", async (t) => {
  const { options, folder } = await hostileClient(t, shop)
  const [one, two] = [join(folder, "one"), join(folder, "two")]
  await pullModel(reference, one, options)
  const changed = flipByte(files[big] ?? assert.fail(), 11)
  writeFileSync(join(one, big), changed) // in place: the entry of the cache is the same file
  await pullModel(reference, two, options)
  assertWhole(two)
  assert.ok(readFileSync(join(one, big)).equals(changed))
  const { files: fetched } = await fetchModel(reference, options)
  assert.ok(Buffer.from(fetched.get(big)?.bytes ?? []).equals(files[big] ?? assert.fail()))
})

test("pull: a download that was taken over is copied, for its first owner may still write to it", async (t) => {
  const { options, folder } = await hostileClient(t, shop)
  mkdirSync(join(options.cache, "partial"), { recursive: true, mode: 0o700 })
  writeFileSync(join(options.cache, "partial", `${digest}.0.left`), (files[big] ?? assert.fail()).subarray(0, 2 ** 23))
  await pullModel(reference, join(folder, "one"), options)
  assertWhole(join(folder, "one"))
  assert.notEqual(inode(join(folder, "one", big)), inode(entryOf(options.cache)))
})

const otherDisk = "/dev/shm"
function noOtherDisk(): string | false {
  try {
    accessSync(otherDisk)
    return statSync(otherDisk).dev === statSync(".").dev ? "no second file system here" : false
  } catch {
    return "no second file system here"
  }
}

test("pull: a cache on another file system", { skip: noOtherDisk() }, async (t) => {
  const { options, folder } = await hostileClient(t, shop)
  const cache = mkdtempSync(join(otherDisk, "weighlock-test-"))
  t.after(() => rmSync(cache, { recursive: true, force: true }))
  await pullModel(reference, join(folder, "one"), { ...options, cache })
  assertWhole(join(folder, "one"))
})

test("copy: an entry that is pruned after it was opened is absent; one with other bytes is wrong, set aside, and leaves no copy", async (t) => {
  const { options, folder } = await hostileClient(t, shop)
  const cache = await Cache.open(options.cache)
  const hasher = modelHasher(1)
  t.after(() => hasher.close())
  const bytes = files[big] ?? assert.fail()
  const resource = { name: big, digest, size: bytes.length } as Resource
  const entry = entryOf(options.cache)
  const [path, pathOf] = [join(folder, "copy"), cache.pathOf.bind(cache)]
  const put = (content: Buffer): void => {
    mkdirSync(dirname(entry), { recursive: true })
    writeFileSync(entry, content)
  }
  put(bytes)
  let asked = 0
  const pruned = t.mock.method(cache, "pathOf", (each: string) => {
    if (++asked === 2) rmSync(entry) // the first was to open it, the second is to copy it
    return pathOf(each)
  })
  assert.deepEqual(
    [await cache.copy(hasher, resource, path, {}), asked >= 2, existsSync(path)],
    ["absent", true, false],
  )
  pruned.mock.restore()
  put(flipByte(bytes, 3))
  assert.deepEqual([await cache.copy(hasher, resource, path, {}), existsSync(path)], ["wrong", false])
  assert.equal(existsSync(entry), false)
  put(bytes)
  assert.equal(await cache.copy(hasher, resource, path, {}), "whole")
  assert.ok(readFileSync(path).equals(bytes))
})

test("pull: every name in the folder, its own and its new parents' survive a power cut", async (t) => {
  const { options, folder } = await hostileClient(t, shop)
  const names = await SyncedNames.watch(t)
  if (names === null) return
  const parent = join(realpathSync(folder), "new")
  await pullModel(reference, join(parent, "models", "one"), options)
  // What is in the folder was synced while the folder had another name: that is for test/faults to see.
  assert.deepEqual(
    names.missing(parent).filter((name) => !name.startsWith("models/one/")),
    [],
  )
})

test("pull into a mount point: TARGET_UNUSABLE says so and what to do, and leaves nothing", async (t) => {
  const { options } = await hostileClient(t, shop)
  const mounted = smallDisk(t, "64m")
  if (mounted === null) return
  await assert.rejects(pullModel(reference, mounted, options), {
    code: "TARGET_UNUSABLE",
    message: /is a mount point.*name a path inside it/,
  })
  assert.deepEqual(readdirSync(mounted), [])
  await pullModel(reference, join(mounted, "model"), options)
  assertWhole(join(mounted, "model"))
})
