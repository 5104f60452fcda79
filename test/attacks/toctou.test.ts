/** Group "TOCTOU": what was verified is what is used. Files that change while hashed: test/manifest/hash-folder.test.ts. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { fetchModel, publishModel, pullModel } from "@weighlock/client"
import { sha256Hex } from "@weighlock/manifest"
import { hashFolder } from "@weighlock/manifest/node"
import { flipByte } from "../support/hostile.ts"
import { hostileClient, openShop, reference, sharedShop, signFolder, tree, writeFiles } from "../support/published.ts"
import { codeOf } from "../support/temp.ts"

const weights = randomBytes(9 * 2 ** 20)
const digest = sha256Hex(weights)
const shop = await sharedShop({ "weights.bin": weights, "model.json": Buffer.from("{}") })
const entryOf = (cache: string): string => join(cache, "blobs/sha256", digest.slice(0, 2), digest)

test("the cache altered after a fetch does not reach the bytes that were handed out", async (t) => {
  const { options } = await hostileClient(t, shop)
  const { files } = await fetchModel(reference, options)
  writeFileSync(entryOf(options.cache), flipByte(weights))
  assert.equal(sha256Hex(files.get("weights.bin")?.bytes ?? new Uint8Array(0)), digest)
})
for (const [how, swap] of [
  ["altered in place", (path: string) => writeFileSync(path, flipByte(weights))],
  [
    "renamed over",
    (path: string) => {
      writeFileSync(`${path}.x`, flipByte(weights))
      renameSync(`${path}.x`, path)
    },
  ],
  ["gone", (path: string) => rmSync(path)],
] as const) {
  test(`the cache ${how} between download and reading`, async (t) => {
    const { options } = await hostileClient(t, shop)
    let swapped = false
    const onProgress = ({ phase }: { phase: string }): void => {
      if (phase !== "verify" || swapped) return
      swapped = true
      swap(entryOf(options.cache)) // model.json was read, weights.bin comes next
    }
    const { files } = await fetchModel(reference, { ...options, onProgress })
    assert.ok(swapped)
    assert.ok(Buffer.from(files.get("weights.bin")?.bytes ?? []).equals(weights))
  })
}
test("the cache altered while it is read, again and again: right bytes or a refusal, never others", async (t) => {
  const { options } = await hostileClient(t, shop)
  await fetchModel(reference, options)
  let flip = 0
  const onProgress = ({ phase }: { phase: string }): void => {
    if (phase === "verify") writeFileSync(entryOf(options.cache), flipByte(weights, flip++))
  }
  for (let round = 0; round < 4; round++) {
    const result = await fetchModel(reference, { ...options, onProgress }).catch(
      (error: { code: string }) => error.code,
    )
    if (typeof result === "string") assert.equal(result, "DIGEST_MISMATCH")
    else assert.equal(sha256Hex(result.files.get("weights.bin")?.bytes ?? new Uint8Array(0)), digest)
  }
})
test("a pull whose cache is altered meanwhile writes the right bytes or no folder", async (t) => {
  const { options, folder, source } = await hostileClient(t, shop)
  await fetchModel(reference, options)
  let flip = 0
  const onProgress = ({ phase }: { phase: string }): void => {
    if (phase === "verify") writeFileSync(entryOf(options.cache), flipByte(weights, flip++))
  }
  const target = join(folder, "out")
  const code = await codeOf(() => pullModel(reference, target, { ...options, onProgress }))
  if (code === "none") assert.deepEqual(await hashFolder(target), await hashFolder(source))
  else assert.deepEqual([code, tree(folder).filter((name) => name.includes("out"))], ["DIGEST_MISMATCH", []])
})
test("a target that appears while a pull runs is not overwritten", async (t) => {
  const { options, folder } = await hostileClient(t, shop)
  const target = join(folder, "out")
  let made = false
  const onProgress = (): void => {
    if (made) return
    made = true
    mkdirSync(target)
    writeFileSync(join(target, "mine"), "precious")
  }
  assert.match(
    await codeOf(() => pullModel(reference, target, { ...options, onProgress })),
    /^(?:TARGET_EXISTS|TARGET_UNUSABLE)$/,
  )
  assert.equal(readFileSync(join(target, "mine"), "utf8"), "precious")
  assert.deepEqual(
    tree(folder).filter((name) => name.startsWith(".out")),
    [],
  )
})
test("a file swapped while it is uploaded is refused by the registry, which hashes what it got", async (t) => {
  const own = await openShop(t)
  writeFiles(own.source, { "model.bin": weights })
  const envelope = await signFolder(own.source, [own.world.signer])
  writeFileSync(join(own.source, "model.bin"), flipByte(weights))
  assert.equal(await codeOf(() => publishModel(own.source, envelope, own.options)), "DIGEST_MISMATCH")
  writeFileSync(join(own.source, "model.bin"), weights)
  assert.equal((await publishModel(own.source, envelope, own.options)).created, true)
})
