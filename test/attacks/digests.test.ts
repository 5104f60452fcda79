/** Group "digests": what is signed about bytes, against what is stored, sent or claimed. Single bytes: test/client/hostile.test.ts. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { fetchModel, publishModel, pullModel } from "@weighlock/client"
import { type Resource, sha256Hex } from "@weighlock/manifest"
import { hashFolder } from "@weighlock/manifest/node"
import { servedFromForgedLog } from "../support/forged-log.ts"
import { flipByte, made, type Rule } from "../support/hostile.ts"
import { hostileClient, reference, sharedShop, signFolder, tree } from "../support/published.ts"
import { codeOf } from "../support/temp.ts"

const [a, b] = [randomBytes(70_000), randomBytes(70_000)]
const big = randomBytes(9 * 2 ** 20)
const shop = await sharedShop({ "a.bin": a, "b.bin": b, "big.bin": big })
const resources = await hashFolder(shop.source)
const changed = (name: string, edit: (resource: Resource) => Resource): Resource[] =>
  resources.map((own) => (own.name === name ? edit(own) : own))

/** A manifest that the trusted publisher really signed and the log's key logged; blobs by name of the registry's own. */
async function serve(own: Resource[], blobs: Record<string, Buffer> = {}): Promise<Rule> {
  const envelope = await signFolder(shop.source, [shop.world.signer], { resources: own })
  const logged = servedFromForgedLog(shop.world, envelope)
  return (exchange) => {
    const { path, isBlob, headers } = exchange
    if (!isBlob) return logged(exchange)
    const bytes = blobs[path.slice(-64)]
    if (bytes === undefined) return null
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "") ?? []
    if (from === undefined) return made(200, bytes)
    const part = bytes.subarray(Number(from), Number(to) + 1)
    return made(206, part, { "content-range": `bytes ${from}-${to}/${bytes.length}` })
  }
}

test("swapped shards of one size are refused", async (t) => {
  const client = await hostileClient(t, shop)
  client.proxy.rule = await serve(resources, { [sha256Hex(a)]: b, [sha256Hex(b)]: a })
  assert.equal(await codeOf(() => fetchModel(reference, client.options)), "DIGEST_MISMATCH")
})
test("a signed manifest whose parts are right and whose whole is not: nothing is handed out, nothing pulled", async (t) => {
  const client = await hostileClient(t, shop)
  const digest = "7".repeat(64)
  client.proxy.rule = await serve(
    changed("big.bin", (own) => ({ ...own, digest })),
    { [digest]: big },
  )
  assert.equal(await codeOf(() => fetchModel(reference, client.options)), "DIGEST_MISMATCH")
  assert.equal(await codeOf(() => pullModel(reference, join(client.folder, "out"), client.options)), "DIGEST_MISMATCH")
  assert.equal(existsSync(join(client.folder, "out")), false)
})
test("a signed manifest whose whole is right and whose parts are not", async (t) => {
  const client = await hostileClient(t, shop)
  const parts = resources.find(({ name }) => name === "big.bin")?.parts ?? assert.fail()
  const digests = parts.digests.toReversed()
  client.proxy.rule = await serve(changed("big.bin", (own) => ({ ...own, parts: { ...parts, digests } })))
  assert.equal(await codeOf(() => fetchModel(reference, client.options)), "DIGEST_MISMATCH")
})
for (const [why, size] of [
  ["smaller", 69_999],
  ["larger", 70_001],
  ["none", 0],
] as const) {
  test(`a signed size that is ${why} than the bytes`, async (t) => {
    const client = await hostileClient(t, shop)
    client.proxy.rule = await serve(changed("a.bin", (own) => ({ ...own, size })))
    assert.equal(await codeOf(() => fetchModel(reference, client.options)), "DIGEST_MISMATCH")
  })
}
test("publishing a manifest whose parts do not describe the whole is refused by the registry", async () => {
  const bytes = randomBytes(9 * 2 ** 20)
  writeFileSync(join(shop.source, "big.bin"), bytes)
  const [first] = (await hashFolder(join(shop.source, "big.bin"))).map((own) => ({
    ...own,
    digest: sha256Hex(randomBytes(8)),
  }))
  const envelope = await signFolder(shop.source, [shop.world.signer], {
    version: "2.0.0",
    resources: [first ?? assert.fail()],
  })
  assert.equal(await codeOf(() => publishModel(shop.source, envelope, shop.options)), "DIGEST_MISMATCH")
  writeFileSync(join(shop.source, "big.bin"), big)
})

const blobs = (): string[] => {
  const root = join(shop.world.folder, "data")
  return tree(root)
    .filter((name) => !name.endsWith("/"))
    .map((name) => join(root, name))
}
for (const [how, alter] of [
  ["a flipped byte", (path: string) => writeFileSync(path, flipByte(readFileSync(path)))],
  ["a cut", (path: string) => truncateSync(path, 69_000)],
  ["a byte more", (path: string) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.of(0)]))],
] as const) {
  test(`${how} in the registry's own blob store is never handed out`, async (t) => {
    const client = await hostileClient(t, shop)
    const path =
      blobs().find((name) => name.endsWith(sha256Hex(a))) ??
      assert.fail(`no blob in ${readdirSync(shop.world.folder).join()}`)
    const original = readFileSync(path)
    alter(path)
    try {
      assert.match(
        await codeOf(() => fetchModel(reference, client.options)),
        /^(?:DIGEST_MISMATCH|UNAVAILABLE|NOT_FOUND)$/,
      )
    } finally {
      writeFileSync(path, original)
    }
  })
}
