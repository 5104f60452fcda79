/** Downloads under way: one owner, taken over with what is good in them, and believed by no one. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { suite, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { Cache, fetchModel, pullModel } from "@weighlock/client"
import { type Resource, sha256Hex } from "@weighlock/manifest"
import { hashFolder } from "@weighlock/manifest/node"
import { flipByte, made } from "../support/hostile.ts"
import {
  hostileClient,
  largeFiles,
  openShop,
  publishFiles,
  reference,
  sharedShop,
  smallFiles,
  tree,
} from "../support/published.ts"
import { codeOf, smallDisk, tempFolder } from "../support/temp.ts"
import { sample } from "../support/thorough.ts"

const shop = await sharedShop(largeFiles())
const big = shop.files["weights/big.bin"] ?? Buffer.alloc(0)
const digest = sha256Hex(big)
const small = await sharedShop(smallFiles())
const shard = small.files["weights/shard1.bin"] ?? Buffer.alloc(0)
const mib8 = 8 * 2 ** 20
const [first, second, third] = ["bytes=0-8388607", "bytes=8388608-16777215", "bytes=16777216-17825791"]

/** A file in `partial/` that nobody works on. */
function leave(cache: string, name: string, bytes: Buffer): string {
  mkdirSync(join(cache, "partial"), { recursive: true, mode: 0o700 })
  chmodSync(cache, 0o700)
  const path = join(cache, "partial", name)
  writeFileSync(path, bytes)
  return path
}
const ranges = (seen: { headers: { range?: string | undefined } }[]): string[] =>
  seen.flatMap(({ headers }) => headers.range ?? []).toSorted()
async function assertFetched(options: Parameters<typeof fetchModel>[1]): Promise<void> {
  const { files } = await fetchModel(reference, options)
  assert.ok(Buffer.from(files.get("weights/big.bin")?.bytes ?? []).equals(big))
}

const resource = { name: "big.bin", digest, size: big.length, parts: { size: mib8, digests: [] } } as Resource
// Most of them wait for five seconds to pass: side by side.
suite("downloads under way", { concurrency: 3 }, () => {
  suite("what is left behind", { concurrency: 4 }, () => {
    const rest: Record<string, [bytes: Buffer, asked: (string | undefined)[]]> = {
      "the first part": [big.subarray(0, mib8), [third, second]],
      "all parts": [big, []],
      "a bad first part": [flipByte(big, 5), [first]],
      "garbage, and longer": [Buffer.alloc(22 * 2 ** 20, 1), [first, third, second]],
      nothing: [Buffer.alloc(0), [first, third, second]],
    }
    for (const [what, [bytes, asked]] of Object.entries(rest)) {
      test(`partial: ${what} was left; only what is missing or wrong is asked for`, async (t) => {
        const { options, proxy } = await hostileClient(t, shop)
        leave(options.cache, `${digest}.0.left`, bytes)
        await assertFetched(options)
        assert.deepEqual(ranges(proxy.seen), asked)
        assert.deepEqual(tree(join(options.cache, "partial")), [])
      })
    }
    for (const [when, time] of sample(Object.entries({ now: Date.now(), "in 1970": 0, "in 2100": 4.1e12 }), 3)) {
      test(`partial: its owner was killed, and wrote last ${when}; taken over once it was watched for 5 s`, async (t) => {
        const { options, proxy } = await hostileClient(t, shop)
        utimesSync(leave(options.cache, `${digest}.7`, big.subarray(0, mib8)), time / 1000, time / 1000)
        const start = performance.now()
        await assertFetched(options)
        assert.ok(performance.now() - start >= 5000)
        assert.deepEqual(ranges(proxy.seen), [third, second])
        assert.deepEqual(tree(join(options.cache, "partial")), [])
      })
    }
    const junk: Record<string, (path: string) => void> = {
      "a link": (path) => symlinkSync(join(path, "../../../victim"), path),
      "a dangling link": (path) => symlinkSync("nowhere", path),
      "a folder": (path) => mkdirSync(join(path, "x"), { recursive: true }),
      "a FIFO": (path) => void execFileSync("mkfifo", [path]),
      "write-protected": (path) => {
        writeFileSync(path, "x", { mode: 0o400 })
      },
      "somebody else's": (path) => {
        writeFileSync(path, "x", { mode: 0o600 })
        if (process.getuid?.() === 0) execFileSync("chown", ["65534", path])
      },
    }
    for (const [what, make] of Object.entries(junk)) {
      test(`partial: one that is ${what} is no obstacle, and not written through`, { timeout: 300_000 }, async (t) => {
        const { options, folder } = await hostileClient(t, small)
        writeFileSync(join(folder, "victim"), "precious")
        leave(options.cache, "x", Buffer.alloc(0))
        make(join(options.cache, "partial", `${sha256Hex(shard)}.3.left`))
        const { files } = await fetchModel(reference, options)
        assert.ok(Buffer.from(files.get("weights/shard1.bin")?.bytes ?? []).equals(shard))
        assert.equal(readFileSync(join(folder, "victim"), "utf8"), "precious")
        assert.deepEqual(tree(join(options.cache, "partial")), ["x"])
      })
    }
    test("partial: names that are none of ours are left alone", async (t) => {
      const { options, proxy } = await hostileClient(t, shop)
      const names = [digest, `${digest}.`, `${digest}.-1`, `${digest}.1e3`, `${digest}.0.LEFT`, `${digest}.9999999999`]
      for (const name of names) leave(options.cache, name, big)
      await assertFetched(options)
      assert.equal(ranges(proxy.seen).length, 3)
      assert.deepEqual(tree(join(options.cache, "partial")), names.toSorted())
    })
  })

  suite("one owner", { concurrency: 4 }, () => {
    test("claim: of 16 at once one has it; the others when it is left, one again", async (t) => {
      const folder = join(tempFolder(t), "cache")
      const caches = await Promise.all(Array.from({ length: 16 }, () => Cache.open(folder)))
      const claimAll = async () =>
        (await Promise.all(caches.map(({ partials }) => partials.claim(resource)))).filter(
          (claimed) => claimed !== null,
        )
      for (const adopted of [false, true, true]) {
        const owners = await claimAll()
        assert.deepEqual(
          owners.map((owner) => owner.adopted),
          [adopted],
        )
        assert.equal((await claimAll()).length, 0)
        for (const owner of owners) {
          await owner.leave(resource)
          await owner.close()
        }
      }
    })
    test("claim: of 16 who watched a dead one, one takes it over", async (t) => {
      const folder = join(tempFolder(t), "cache")
      leave(folder, `${digest}.0`, big)
      const caches = await Promise.all(Array.from({ length: 16 }, () => Cache.open(folder)))
      const claimAll = () => Promise.all(caches.map(({ partials }) => partials.claim(resource)))
      assert.ok((await claimAll()).every((claimed) => claimed === null))
      await sleep(5100)
      const owners = (await claimAll()).filter((claimed) => claimed !== null)
      assert.deepEqual(
        owners.map(({ adopted }) => adopted),
        [true],
      )
      await owners[0]?.close()
      assert.deepEqual(readdirSync(join(folder, "partial")), [`${digest}.1`])
    })
    test("claim: a living owner keeps it, however long it takes", async (t) => {
      const folder = join(tempFolder(t), "cache")
      const [mine, other] = [await Cache.open(folder), await Cache.open(folder)]
      const owner = await mine.partials.claim(resource)
      for (let i = 0; i < 65; i++) {
        assert.equal(await other.partials.claim(resource), null)
        await sleep(100)
      }
      await owner?.close()
      assert.deepEqual(readdirSync(join(folder, "partial")), [`${digest}.0`])
    })
    test(
      "an owner who was overtaken while it slept stops, waits for its heir, and is right",
      { timeout: 300_000 },
      async (t) => {
        const { options, proxy } = await hostileClient(t, shop)
        let taken = false
        proxy.rule = ({ headers }) => {
          const name = join(options.cache, "partial", digest)
          if (headers.range !== second || taken) return null
          taken = true
          renameSync(`${name}.0`, `${name}.1`) // what an heir does, who then dies too
          return null
        }
        await assertFetched(options)
        assert.ok(taken)
        assert.deepEqual(tree(join(options.cache, "partial")), [])
      },
    )
  })

  suite("hostile", { concurrency: 4 }, () => {
    test("a good part that is tampered with after it was looked at: never believed, now or later", async (t) => {
      const { options, proxy } = await hostileClient(t, shop)
      leave(options.cache, `${digest}.0.left`, big.subarray(0, mib8))
      proxy.rule = ({ headers, count }) => {
        const path = join(options.cache, "partial", `${digest}.1`)
        if (headers.range === third && count <= 2 && existsSync(path))
          writeFileSync(path, flipByte(readFileSync(path), 9))
        return null
      }
      await assertFetched(options)
      await assertFetched(options)
      const entry = join(options.cache, "blobs", "sha256", digest.slice(0, 2), digest)
      assert.ok(readFileSync(entry).equals(big))
    })
    test("all that was fetched is cut away again: refused, or fetched again; never believed", async (t) => {
      const { options, proxy } = await hostileClient(t, shop)
      proxy.rule = ({ headers }) => {
        const path = join(options.cache, "partial", `${digest}.0`)
        if (headers.range === third && existsSync(path)) truncateSync(path, 0)
        return null
      }
      assert.match(await codeOf(() => assertFetched(options)), /^(?:none|DIGEST_MISMATCH)$/)
    })
    test("two models that share a file, fetched at once: it is fetched once", async (t) => {
      const own = await openShop(t)
      const other = { model: "acme/other" }
      await publishFiles(own, { "weights/big.bin": big, "a.txt": Buffer.from("a") })
      await publishFiles(own, { "weights/big.bin": big, "a.txt": Buffer.from("b") }, other)
      const client = await hostileClient(t, { ...own, files: {} })
      await Promise.all([fetchModel(reference, client.options), fetchModel("acme/other@1.0.0", client.options)])
      assert.deepEqual(ranges(client.proxy.seen), [first, third, second])
    })
    test("a registry that fails for the owner fails for those who wait too, each by its own question", async (t) => {
      const { options, proxy } = await hostileClient(t, shop)
      proxy.rule = ({ headers }) => (headers.range === second ? made(404, { code: "NOT_FOUND" }) : null)
      const codes = await Promise.all(Array.from({ length: 4 }, () => codeOf(() => fetchModel(reference, options))))
      assert.deepEqual(codes, Array(4).fill("DIGEST_MISMATCH"))
      proxy.rule = () => null
      await assertFetched(options)
    })
    test("a finished download that can't get its place (no inodes): NO_SPACE, and nothing comes twice", async (t) => {
      const disk = smallDisk(t, "64m,nr_inodes=7") // itself, the cache's five folders, the download
      if (disk === null) return
      const own = await openShop(t)
      await publishFiles(own, { "weights/big.bin": big })
      const { options, proxy } = await hostileClient(t, { ...own, files: {} })
      const full = { ...options, cache: join(disk, "cache") }
      assert.equal(await codeOf(() => fetchModel(reference, full)), "NO_SPACE")
      assert.deepEqual(tree(join(disk, "cache", "partial")), [`${digest}.0.left`])
      execFileSync("mount", ["-o", "remount,nr_inodes=1000", disk])
      await assertFetched(full)
      assert.deepEqual(ranges(proxy.seen), [first, third, second])
    })
  })

  suite("siblings of a pull's target", () => {
    const old = (path: string): void => utimesSync(path, new Date(0), new Date(0))
    test("those of killed pulls go; a living one's, and what only looks like one, stay", async (t) => {
      const { options, folder, source } = await hostileClient(t, shop)
      const names = [
        ".out.0123456789ab.pull",
        ".out.ba9876543210.pull",
        ".out.0123456789ab",
        ".out.x.pull",
        ".other.0123456789ab.pull",
      ]
      for (const name of names) mkdirSync(join(folder, name, "deep"), { recursive: true })
      for (const name of names.filter((name) => name !== names[1])) old(join(folder, name))
      await pullModel(reference, join(folder, "out"), options)
      assert.deepEqual(await hashFolder(join(folder, "out")), await hashFolder(source))
      const left = readdirSync(folder).filter((name) => name.startsWith("."))
      assert.deepEqual(left.toSorted(), names.slice(1).toSorted())
    })
  })
})
