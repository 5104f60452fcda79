/** Blobs that others touch: sent by two publishers at once, damaged in the registry's store, pruned while being read. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { suite, test } from "node:test"
import { Cache, fetchModel, publishModel } from "@weighlock/client"
import { sha256Hex } from "@weighlock/manifest"
import { type Exchange, made, startHostile } from "../support/hostile.ts"
import {
  hostileClient,
  openShop,
  reference,
  sharedShop,
  signFolder,
  stockedShop,
  writeFiles,
} from "../support/published.ts"
import { codeOf } from "../support/temp.ts"
import { sample } from "../support/thorough.ts"

const big = randomBytes(9 * 2 ** 20)
const shared = await sharedShop()
const damages: Record<string, (path: string) => void> = {
  truncated: (path) => truncateSync(path, 9 * 2 ** 20 - 1),
  "cut within its first part": (path) => truncateSync(path, 1000),
  extended: (path) => truncateSync(path, 9 * 2 ** 20 + 1),
  emptied: (path) => truncateSync(path, 0),
  gone: (path) => rmSync(path),
}
suite("blobs damaged in the store", () => {
  for (const [how, damage] of sample(Object.entries(damages), 2)) {
    for (const [what, bytes] of [
      ["of two parts", big],
      ["in one piece", big.subarray(0, 70_000)],
    ] as const) {
      test(`fetch refused: a file ${what} that is ${how}`, async (t) => {
        const shop = await stockedShop(t, { "weights.bin": bytes })
        const data = join(shop.world.folder, "data")
        const found = readdirSync(data, { recursive: true, encoding: "utf8" }).filter((name) =>
          name.endsWith(sha256Hex(bytes)),
        )
        assert.equal(found.length, 1)
        damage(join(data, found[0] ?? ""))
        assert.equal(await codeOf(() => fetchModel(reference, shop.options)), "DIGEST_MISMATCH")
      })
    }
  }
})

const isComplete = ({ path }: Exchange): boolean => path.endsWith("/complete")
const isPut = ({ method }: Exchange): boolean => method === "PUT"
const refusals = [
  [409, "CONFLICT"],
  [404, "NOT_FOUND"],
  [403, "FORBIDDEN"],
] as const
suite("uploads that somebody else overtakes", () => {
  for (const [what, concerns] of [
    ["a part", isPut],
    ["complete", isComplete],
  ] as const) {
    for (const [status, code] of sample(refusals, 3)) {
      test(`publish: ${what} answers ${code}, then all is asked again`, async (t) => {
        const shop = await openShop(t)
        writeFiles(shop.source, { "model.json": Buffer.from("{}"), "weights.bin": big })
        const proxy = await startHostile(t, shop.peer.url)
        proxy.rule = (exchange) => {
          if (concerns(exchange)) return exchange.count === 1 ? made(status, { code }) : null
          const { answer } = exchange
          return exchange.path === "/api/v1/uploads"
            ? { ...answer, body: Buffer.from(answer.body.toString().replaceAll(shop.peer.url, proxy.url)) }
            : null
        }
        const envelope = await signFolder(shop.source, [shop.world.signer])
        const options = { ...shop.options, registry: proxy.url }
        assert.equal((await publishModel(shop.source, envelope, options)).created, true)
        assert.ok(proxy.seen.filter(({ path }) => path === "/api/v1/uploads").length >= 2)
      })
    }
  }
  test("publish: four publishers of the same new bytes at once all succeed", { timeout: 300_000 }, async (t) => {
    const shop = await openShop(t)
    writeFiles(shop.source, { "model.json": Buffer.from("{}"), "weights.bin": randomBytes(17 * 2 ** 20) })
    const envelopes = await Promise.all(
      ["1.0.0", "1.1.0", "1.2.0", "1.3.0"].map((version) => signFolder(shop.source, [shop.world.signer], { version })),
    )
    const all = await Promise.all(envelopes.map((envelope) => publishModel(shop.source, envelope, shop.options)))
    assert.deepEqual(
      all.map(({ created }) => created),
      [true, true, true, true],
    )
  })
})
test("publish: many small files are completed several at a time", async (t) => {
  const shop = await openShop(t)
  mkdirSync(shop.source, { recursive: true })
  for (let i = 0; i < 40; i++) writeFileSync(join(shop.source, `${i}.txt`), `file ${i}`)
  let [answered, most] = [0, 0]
  const proxy = await startHostile(t, shop.peer.url, (exchange) => {
    if (isComplete(exchange))
      most = Math.max(most, proxy.seen.filter(({ path }) => path.endsWith("/complete")).length - answered++)
    return null
  })
  await publishModel(shop.source, await signFolder(shop.source, [shop.world.signer]), {
    ...shop.options,
    registry: proxy.url,
  })
  assert.ok(most >= 4 && most <= 16, `${most} at a time`)
})

suite("entries that vanish before they are read", () => {
  const prunes = async (t: Parameters<typeof hostileClient>[0], times: number): Promise<string> => {
    const { options } = await hostileClient(t, shared)
    await fetchModel(reference, options)
    const load = Cache.prototype.load
    const left = new Map<string, number>()
    t.mock.method(
      Cache.prototype,
      "load",
      async function (this: Cache, ...[hashes, resource, options]: Parameters<typeof load>) {
        const count = left.get(resource.digest) ?? times
        left.set(resource.digest, count - 1)
        if (count > 0) rmSync(this.pathOf(resource.digest), { force: true })
        return load.call(this, hashes, resource, options)
      },
    )
    const source = readFileSync(join(shared.source, "weights/shard1.bin"))
    return codeOf(async () => {
      const { files } = await fetchModel(reference, options)
      assert.ok(Buffer.from(files.get("weights/shard1.bin")?.bytes ?? []).equals(source))
    })
  }
  for (const times of [1, 3])
    test(`fetch: pruned ${times} time(s), then right`, async (t) => assert.equal(await prunes(t, times), "none"))
  test("fetch: pruned for ever is a matter of the cache, not of the bytes", async (t) =>
    assert.equal(await prunes(t, 1000), "CACHE_UNUSABLE"))
})
