/** Where the bytes of a pulled folder are: written once, shared with the cache at most, never with another folder. */
import assert from "node:assert/strict"
import {
  accessSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { suite, test, type TestContext } from "node:test"

import { Cache, fetchModel, pullModel } from "@weighlock/client"
import { type Resource, sha256Hex } from "@weighlock/manifest"
import { hashFolder, modelHasher } from "@weighlock/manifest/node"
import { flipByte } from "../support/hostile.ts"
import { hostileClient, largeFiles, model, publishFiles, reference, sharedShop, tree } from "../support/published.ts"
import { SyncedNames } from "../support/synced-names.ts"
import { boundFolder, codeOf, smallDisk } from "../support/temp.ts"

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

/** Something mounted there: another disk, or a folder of the same one. */
const mounts: Record<string, (t: TestContext) => string | null> = {
  "another disk": (t) => smallDisk(t, "64m"),
  "a folder of the same disk": (t) => boundFolder(t),
}
for (const [what, mount] of Object.entries(mounts))
  test(`pull into a mount point, ${what}: filled inside, a marker last, and again nothing`, async (t) => {
    const { options } = await hostileClient(t, shop)
    const mounted = mount(t)
    if (mounted === null) return
    mkdirSync(join(mounted, "lost+found"))
    assert.equal((await pullModel(reference, mounted, options)).unchanged, false)
    assertWhole(mounted)
    const names = readdirSync(mounted).toSorted()
    assert.deepEqual(names, [".weighlock-complete", "a", "b", "empty.txt", "lost+found", "model.json", "weights"])
    rmSync(join(mounted, "lost+found"), { recursive: true })
    const { manifest } = await pullModel(reference, join(mounted, "weights", "inner"), options)
    assert.equal(readFileSync(join(mounted, ".weighlock-complete"), "utf8"), `${reference} sha256:${manifest.digest}\n`)
    // The marker is nobody's model file: the folder is still what was signed.
    rmSync(join(mounted, "weights", "inner"), { recursive: true })
    assert.deepEqual(await hashFolder(mounted), manifest.resources)
    assert.equal((await pullModel(reference, mounted, options)).unchanged, true)
    writeFileSync(join(mounted, "mine"), "x")
    assert.equal(await codeOf(() => pullModel(reference, mounted, options)), "TARGET_EXISTS")
    assert.equal(readFileSync(join(mounted, "mine"), "utf8"), "x")
  })

test("pull into a folder that nobody may write beside, and into the one a shell stands in", async (t) => {
  const { options, folder } = await hostileClient(t, shop)
  const [parent, before] = [join(folder, "parent"), process.cwd()]
  mkdirSync(join(parent, "models"), { recursive: true })
  if (process.getuid?.() !== 0) chmodSync(parent, 0o555)
  process.chdir(join(parent, "models"))
  try {
    await pullModel(reference, ".", options)
    assert.ok(readdirSync(".").includes(".weighlock-complete"))
  } finally {
    process.chdir(before)
    chmodSync(parent, 0o755)
  }
  assertWhole(join(parent, "models"))
})

test("what a killed pull left in a mount point is taken up; while one is alive it is TARGET_EXISTS", async (t) => {
  const { options } = await hostileClient(t, shop)
  const mounted = smallDisk(t, "128m")
  if (mounted === null) return
  await pullModel(reference, mounted, options)
  // Killed while it renamed: some files are in place, some are not, and one folder is half there.
  rmSync(join(mounted, ".weighlock-complete"))
  mkdirSync(join(mounted, ".weighlock-pulling", "0123456789ab", "b"), { recursive: true })
  rmSync(join(mounted, "weights", "big.bin"))
  rmSync(join(mounted, "model.json"))
  rmSync(join(mounted, "a"), { recursive: true })
  const alive = setInterval(() => utimesSync(join(mounted, ".weighlock-pulling"), new Date(), new Date()), 300)
  assert.equal(await codeOf(() => pullModel(reference, mounted, options)), "TARGET_EXISTS")
  clearInterval(alive)
  assert.equal((await pullModel(reference, mounted, options)).unchanged, false)
  assertWhole(mounted)
  assert.deepEqual(
    readdirSync(mounted).filter((name) => name.startsWith(".")),
    [".weighlock-complete"],
  )
  // Killed before anything else was there, and once all of it was.
  rmSync(join(mounted, ".weighlock-complete"))
  assert.equal((await pullModel(reference, mounted, options)).unchanged, true)
  assert.ok(existsSync(join(mounted, ".weighlock-complete")))
  // A file of this name with other bytes is somebody's own, whatever else is there.
  rmSync(join(mounted, ".weighlock-complete"))
  mkdirSync(join(mounted, ".weighlock-pulling"))
  writeFileSync(join(mounted, "model.json"), "mine")
  assert.equal(await codeOf(() => pullModel(reference, mounted, options)), "TARGET_EXISTS")
  assert.equal(readFileSync(join(mounted, "model.json"), "utf8"), "mine")
  writeFileSync(join(mounted, "model.json"), files["model.json"] ?? "")
  rmSync(join(mounted, ".weighlock-pulling"), { recursive: true })
  writeFileSync(join(mounted, ".weighlock-complete"), "")
  // A file of somebody else beside what was left: nothing is touched.
  rmSync(join(mounted, ".weighlock-complete"))
  mkdirSync(join(mounted, ".weighlock-pulling", "0123456789ab"), { recursive: true })
  writeFileSync(join(mounted, "mine"), "x")
  assert.equal(await codeOf(() => pullModel(reference, mounted, options)), "TARGET_EXISTS")
  assert.ok(existsSync(join(mounted, ".weighlock-pulling", "0123456789ab")))
})

test("two versions pulled into one mount point at once: one of them, whole, and TARGET_EXISTS", async (t) => {
  const mounted = smallDisk(t, "128m")
  if (mounted === null) return
  const other = `${model}@3.0.0`
  await publishFiles(shop, { ...files, "only-here.txt": Buffer.from("3.0.0") }, { version: "3.0.0" })
  const { options } = await hostileClient(t, shop)
  const outcomes = await Promise.all(
    [reference, other].map(
      async (wanted) => [wanted, await codeOf(() => pullModel(wanted, mounted, options))] as const,
    ),
  )
  assert.deepEqual(outcomes.map(([, code]) => code).toSorted(), ["TARGET_EXISTS", "none"])
  const winner = outcomes.find(([, code]) => code === "none")?.[0] ?? ""
  const { manifest, unchanged } = await pullModel(winner, mounted, options)
  assert.equal(unchanged, true)
  assert.equal(readFileSync(join(mounted, ".weighlock-complete"), "utf8"), `${winner} sha256:${manifest.digest}\n`)
})

suite("pull to a folder that holds", () => {
  const changes: Record<string, readonly [boolean, (folder: string) => void]> = {
    "exactly this": [true, () => undefined],
    "exactly this, with other modes and times": [
      true,
      (folder) => {
        chmodSync(join(folder, "model.json"), 0o600)
        utimesSync(join(folder, "model.json"), 1, 1)
      },
    ],
    "a file more": [false, (folder) => writeFileSync(join(folder, "more"), "")],
    "a hidden file more": [false, (folder) => writeFileSync(join(folder, ".git"), "")],
    "a folder more": [false, (folder) => mkdirSync(join(folder, "weights", "none"))],
    "a file less": [false, (folder) => rmSync(join(folder, "empty.txt"))],
    "another byte": [false, (folder) => writeFileSync(join(folder, big), flipByte(readFileSync(join(folder, big)), 9))],
    "a byte less": [false, (folder) => truncateSync(join(folder, big), 17 * 2 ** 20 - 1)],
    "a link in a file's place": [
      false,
      (folder) => {
        renameSync(join(folder, "model.json"), `${folder}.json`)
        symlinkSync(`${folder}.json`, join(folder, "model.json"))
      },
    ],
    "a folder in a file's place": [
      false,
      (folder) => {
        rmSync(join(folder, "empty.txt"))
        mkdirSync(join(folder, "empty.txt"))
      },
    ],
  }
  for (const [what, [unchanged, change]] of Object.entries(changes))
    test(`${what}: ${unchanged ? "unchanged" : "TARGET_EXISTS, and nothing is touched"}`, async (t) => {
      const { options, folder } = await hostileClient(t, shop)
      const target = join(folder, "out")
      await pullModel(reference, target, options)
      change(target)
      const [before, at] = [tree(target), statSync(target).mtimeMs]
      if (unchanged) assert.equal((await pullModel(reference, target, options)).unchanged, true)
      else assert.equal(await codeOf(() => pullModel(reference, target, options)), "TARGET_EXISTS")
      assert.deepEqual([tree(target), statSync(target).mtimeMs], [before, at])
    })

  test("nothing, by way of a link: filled; a link to nothing: TARGET_EXISTS", async (t) => {
    const { options, folder } = await hostileClient(t, shop)
    mkdirSync(join(folder, "real"))
    symlinkSync("real", join(folder, "link"))
    await pullModel(reference, join(folder, "link"), options)
    assertWhole(join(folder, "real"))
    assert.ok(lstatSync(join(folder, "link")).isSymbolicLink())
    symlinkSync("nowhere", join(folder, "dangling"))
    assert.equal(await codeOf(() => pullModel(reference, join(folder, "dangling"), options)), "TARGET_EXISTS")
  })
})
