/** The cache: private, believed by no one, shared by many processes, and never in the way. */
import assert from "node:assert/strict"
import { execFileSync, spawn } from "node:child_process"
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { suite, test } from "node:test"
import { Cache, fetchModel, pullModel } from "@weighlock/client"
import { sha256Hex } from "@weighlock/manifest"
import { hashFolder } from "@weighlock/manifest/node"
import { flipByte } from "../support/hostile.ts"
import { hostileClient, largeFiles, reference, sharedShop, smallFiles, tree } from "../support/published.ts"
import { codeOf, smallDisk, tempFolder } from "../support/temp.ts"
import { sample } from "../support/thorough.ts"

const small = await sharedShop(smallFiles())
const large = await sharedShop(largeFiles())
const big = large.files["weights/big.bin"] ?? Buffer.alloc(0)
const bigDigest = sha256Hex(big)
const shard = small.files["weights/shard1.bin"] ?? Buffer.alloc(0)
const shardDigest = sha256Hex(shard)
const entryOf = (cache: string, digest: string): string => join(cache, "blobs/sha256", digest.slice(0, 2), digest)

test("cache: folders 0700, files 0600, nothing else", async (t) => {
  const { options } = await hostileClient(t, large)
  await fetchModel(reference, options)
  for (const name of tree(options.cache)) {
    assert.equal(statSync(join(options.cache, name)).mode & 0o777, name.endsWith("/") ? 0o700 : 0o600, name)
  }
  assert.equal(statSync(options.cache).mode & 0o777, 0o700)
  assert.deepEqual(tree(join(options.cache, "partial")), [])
})
test("cache: a second fetch asks for the bundle and for no blob", async (t) => {
  const { options, proxy } = await hostileClient(t, large)
  await fetchModel(reference, options)
  const before = proxy.seen.length
  await fetchModel(reference, options)
  assert.deepEqual(
    proxy.seen.slice(before).map(({ isBlob }) => isBlob),
    [false],
  )
})

const tamperings: Record<string, (path: string) => void> = {
  "one byte": (path) => writeFileSync(path, flipByte(readFileSync(path))),
  "cut short": (path) => truncateSync(path, 100),
  longer: (path) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(1)])),
  empty: (path) => truncateSync(path, 0),
  "a link to the right bytes": (path) => {
    writeFileSync(`${path}.real`, readFileSync(path))
    rmSync(path)
    symlinkSync(`${path}.real`, path)
  },
  "a link to /dev/zero": (path) => {
    rmSync(path)
    symlinkSync("/dev/zero", path)
  },
  "a FIFO": (path) => {
    rmSync(path)
    execFileSync("mkfifo", [path])
  },
  "a folder": (path) => {
    rmSync(path)
    mkdirSync(path)
    writeFileSync(join(path, "x"), "x")
  },
}
for (const [how, tamper] of sample(Object.entries(tamperings), 3)) {
  test(`cache: an entry that is ${how} is not believed and fetched again`, { timeout: 300_000 }, async (t) => {
    const { options } = await hostileClient(t, small)
    await fetchModel(reference, options)
    tamper(entryOf(options.cache, shardDigest))
    const { files } = await fetchModel(reference, options)
    assert.ok(Buffer.from(files.get("weights/shard1.bin")?.bytes ?? []).equals(shard))
    assert.ok(readFileSync(entryOf(options.cache, shardDigest)).equals(shard))
    if (how === "one byte") assert.equal(readdirSync(join(options.cache, "quarantine")).length, 1)
  })
}
test("cache: pull does not copy a tampered entry either", async (t) => {
  const { options, folder, source } = await hostileClient(t, small)
  await fetchModel(reference, options)
  const path = entryOf(options.cache, shardDigest)
  writeFileSync(path, flipByte(readFileSync(path)))
  await pullModel(reference, join(folder, "out"), options)
  assert.deepEqual(await hashFolder(join(folder, "out")), await hashFolder(source))
})
test("cache: tampered, and the registry gives the same wrong bytes: refused", async (t) => {
  const { options, proxy } = await hostileClient(t, small)
  proxy.rule = ({ isBlob, answer }) =>
    isBlob && answer.body.length > 1000 ? { ...answer, body: flipByte(answer.body) } : null
  assert.equal(await codeOf(() => fetchModel(reference, options)), "DIGEST_MISMATCH")
  mkdirSync(join(entryOf(options.cache, shardDigest), ".."), { recursive: true })
  writeFileSync(entryOf(options.cache, shardDigest), flipByte(shard))
  assert.equal(await codeOf(() => fetchModel(reference, options)), "DIGEST_MISMATCH")
})

const script = `
import { fetchModel } from ${JSON.stringify(import.meta.resolve("@weighlock/client"))}
const { files } = await fetchModel(process.argv[1], JSON.parse(process.argv[2]))
console.log([...files.values()].map((file) => file.digest).join())`
test("cache: four processes at once, all right, one entry each, nothing half", { timeout: 300_000 }, async (t) => {
  const { options } = await hostileClient(t, large)
  const runs = Array.from({ length: 4 }, () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, reference, JSON.stringify(options)])
    return new Promise<string>((resolve) => {
      let out = ""
      child.stdout.on("data", (chunk) => (out += String(chunk)))
      child.stderr.on("data", (chunk) => (out += String(chunk)))
      child.on("close", (code) => resolve(`${code}:${out.trim()}`))
    })
  })
  const expected = (await hashFolder(large.source)).map(({ digest }) => digest).join()
  assert.deepEqual(await Promise.all(runs), Array(4).fill(`0:${expected}`))
  assert.equal((await (await Cache.open(options.cache)).list()).length, 4)
  assert.deepEqual(tree(join(options.cache, "partial")), [])
})
test("cache: ten fetches in one process while entries are tampered with: always right", async (t) => {
  const { options } = await hostileClient(t, small)
  await fetchModel(reference, options)
  for (let round = 0; round < 3; round++) {
    writeFileSync(entryOf(options.cache, shardDigest), flipByte(shard, round))
    const all = await Promise.all(Array.from({ length: 10 }, () => fetchModel(reference, options)))
    for (const { files } of all) assert.ok(Buffer.from(files.get("weights/shard1.bin")?.bytes ?? []).equals(shard))
  }
})

suite("folder", () => {
  const unusable: Record<string, (path: string) => void> = {
    "writable by others": (path) => {
      mkdirSync(path)
      chmodSync(path, 0o777)
    },
    "writable by the group": (path) => {
      mkdirSync(path)
      chmodSync(path, 0o770)
    },
    "a file": (path) => writeFileSync(path, "x"),
    "a dangling link": (path) => symlinkSync("nowhere/at/all", path),
  }
  for (const [why, make] of sample(Object.entries(unusable), 2)) {
    test(`cache refused: ${why}`, async (t) => {
      const { options } = await hostileClient(t, small)
      make(options.cache)
      assert.equal(await codeOf(() => fetchModel(reference, options)), "CACHE_UNUSABLE")
    })
  }
  test("cache: one that others may read is closed to them", async (t) => {
    const { options } = await hostileClient(t, small)
    mkdirSync(options.cache, { mode: 0o755 })
    await fetchModel(reference, options)
    assert.equal(statSync(options.cache).mode & 0o777, 0o700)
  })
  test("cache refused: owned by someone else", async (t) => {
    if (process.getuid?.() !== 0) return t.skip("not checked: changing an owner needs root")
    const { options } = await hostileClient(t, small)
    mkdirSync(options.cache, { mode: 0o700 })
    execFileSync("chown", ["65534", options.cache])
    assert.equal(await codeOf(() => fetchModel(reference, options)), "CACHE_UNUSABLE")
  })
  test("list and prune: least recently used first, quarantine and dead downloads go, junk is no obstacle", async (t) => {
    const { options } = await hostileClient(t, small)
    await fetchModel(reference, options)
    const cache = await Cache.open(options.cache)
    utimesSync(entryOf(options.cache, shardDigest), new Date(1000), new Date(1000))
    writeFileSync(join(options.cache, "blobs/sha256/junk"), "x")
    writeFileSync(join(options.cache, "quarantine/x"), "x")
    for (const name of [
      `${bigDigest}.0`,
      `${bigDigest}.1`,
      `${bigDigest}.2.left`,
      `${bigDigest}.3`,
      `${bigDigest}.${process.pid}.x`,
      "x",
    ])
      writeFileSync(join(options.cache, "partial", name), "x")
    for (const [name, when] of Object.entries({ 0: Date.now() - 61_000, 1: Date.now() - 30_000 }))
      utimesSync(join(options.cache, `partial/${bigDigest}.${name}`), when / 1000, when / 1000)
    utimesSync(join(options.cache, `partial/${bigDigest}.3`), new Date(), new Date(0)) // alive, and waits for its turn
    const entries = await cache.list()
    assert.deepEqual([entries.length, entries[0]?.digest, entries[0]?.size], [3, shardDigest, shard.length])
    assert.deepEqual(await cache.prune(1_000_000), { removed: 0, bytes: 0 })
    assert.deepEqual(tree(join(options.cache, "quarantine")), [])
    assert.deepEqual(tree(join(options.cache, "partial")), [`${bigDigest}.1`, `${bigDigest}.3`])
    assert.deepEqual(await cache.prune(1000), { removed: 1, bytes: shard.length })
    assert.equal((await cache.prune(0)).bytes, small.files["model.json"]?.length)
    assert.equal((await fetchModel(reference, options)).files.size, 3)
  })
  test("a cache key is 64 hex digits and nothing else", async (t) => {
    const cache = await Cache.open(join(tempFolder(t), "c"))
    for (const key of ["", "../../etc/passwd", "A".repeat(64), `${"a".repeat(64)}/..`])
      assert.throws(() => cache.pathOf(key), RangeError)
  })
})

suite("full disks", () => {
  test("NO_SPACE: the cache's disk is too small, said before anything is asked", async (t) => {
    const disk = smallDisk(t, "4m")
    if (disk === null) return
    const { options, proxy } = await hostileClient(t, large)
    assert.equal(await codeOf(() => fetchModel(reference, { ...options, cache: join(disk, "cache") })), "NO_SPACE")
    assert.equal(
      proxy.seen.some(({ isBlob }) => isBlob),
      false,
    )
  })
  test("NO_SPACE: the disk fills up while the cache is written", async (t) => {
    const disk = smallDisk(t, "24m")
    if (disk === null) return
    const { options, proxy } = await hostileClient(t, large)
    proxy.rule = ({ isBlob }) => {
      if (isBlob) writeFileSync(join(disk, "hog"), Buffer.alloc(12 * 2 ** 20))
      return null
    }
    assert.equal(await codeOf(() => fetchModel(reference, { ...options, cache: join(disk, "cache") })), "NO_SPACE")
    rmSync(join(disk, "hog"))
    proxy.rule = () => null
    assert.equal((await fetchModel(reference, { ...options, cache: join(disk, "cache") })).files.size, 4)
  })
  for (const size of ["64k", "12m"]) {
    test(`NO_SPACE: the target's disk has ${size}; no file is cut short in silence, and nothing is left`, async (t) => {
      const disk = smallDisk(t, size)
      if (disk === null) return
      const shop = await hostileClient(t, size === "64k" ? small : large)
      assert.equal(await codeOf(() => pullModel(reference, join(disk, "out"), shop.options)), "NO_SPACE")
      assert.deepEqual(tree(disk), [])
    })
  }
  test("a target whose disk is read-only or has no more inodes has a code, and nothing is left", async (t) => {
    const disk = smallDisk(t, "4m,nr_inodes=4")
    if (disk === null) return
    const shop = await hostileClient(t, small)
    assert.match(
      await codeOf(() => pullModel(reference, join(disk, "out"), shop.options)),
      /^(?:NO_SPACE|TARGET_UNUSABLE)$/,
    )
    execFileSync("mount", ["-o", "remount,ro", disk])
    assert.equal(await codeOf(() => pullModel(reference, join(disk, "out"), shop.options)), "TARGET_UNUSABLE")
    assert.deepEqual(tree(disk), [])
  })
})
