/** Publish, fetch and pull against a real registry. */
import assert from "node:assert/strict"
import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import {
  fetchModel,
  listModels,
  listVersions,
  type Progress,
  publishModel,
  pullModel,
  receiptBytes,
  showModel,
} from "@weighlock/client"
import { parseBundle, sha256Hex } from "@weighlock/manifest"
import { hashFolder } from "@weighlock/manifest/node"
import { flipByte } from "../support/hostile.ts"
import {
  largeFiles,
  model,
  openShop,
  publishFiles,
  reference,
  signFolder,
  smallFiles,
  stockedShop,
  tree,
  writeFiles,
} from "../support/published.ts"
import { ed25519Signer } from "../support/trust.ts"
import { sample } from "../support/thorough.ts"

test("round trip: 20 MiB with parts, small, empty and nested files come back bit for bit, in memory and in a folder", async (t) => {
  const files = largeFiles()
  const shop = await stockedShop(t, files)
  const fetched = await fetchModel(reference, shop.options)
  assert.deepEqual([...fetched.files.keys()], Object.keys(files).toSorted())
  for (const [name, bytes] of Object.entries(files)) {
    const file = fetched.files.get(name)
    assert.ok(Buffer.from(file?.bytes ?? []).equals(bytes), name)
    assert.deepEqual([file?.size, file?.digest], [bytes.length, sha256Hex(bytes)])
  }
  const target = join(shop.folder, "pulled")
  const { manifest } = await pullModel(`${model}@sha256:${fetched.manifest.digest}`, target, {
    ...shop.options,
    cache: join(shop.folder, "other"),
  })
  assert.equal(manifest.version, "1.0.0")
  assert.deepEqual(await hashFolder(target), manifest.resources)
  assert.deepEqual(tree(target), ["empty.txt", "model.json", "weights/", "weights/big.bin", "weights/shard1.bin"])
  assert.deepEqual(
    tree(shop.folder).filter((name) => !name.includes("/")),
    [],
  )
})
test("publish: the receipt verifies, the same again is the same, another is refused, and stays refused", async (t) => {
  const shop = await openShop(t)
  writeFiles(shop.source, smallFiles())
  const envelope = await signFolder(shop.source, [shop.world.signer])
  const first = await publishModel(shop.source, envelope, shop.options)
  const again = await publishModel(shop.source, envelope, shop.options)
  assert.deepEqual([first.created, again.created], [true, false])
  assert.deepEqual(receiptBytes(again), receiptBytes(first))
  assert.deepEqual(parseBundle(receiptBytes(first)).envelope.payload, Uint8Array.from(envelope.payload))
  const other = await signFolder(shop.source, [shop.world.signer], { metadata: { a: "b" } })
  await assert.rejects(publishModel(shop.source, other, shop.options), { code: "VERSION_EXISTS" })
  assert.equal((await showModel(reference, shop.options)).manifest.digest, first.manifest.digest)
})
test("publish: a second version sends only what is new; both are listed", async (t) => {
  const shop = await stockedShop(t)
  const sent: Progress[] = []
  writeFileSync(join(shop.source, "model.json"), "changed")
  const envelope = await signFolder(shop.source, [shop.world.signer], { version: "1.1.0" })
  await publishModel(shop.source, envelope, { ...shop.options, onProgress: (progress) => sent.push(progress) })
  assert.deepEqual(
    (await listVersions(model, shop.options)).map(({ version }) => version),
    ["1.0.0", "1.1.0"],
  )
  assert.deepEqual(await listModels(shop.options), [{ model, versions: 2 }])
  assert.ok(sent.every(({ phase }) => phase === "upload"))
})
test("progress: download and verify end at the total", async (t) => {
  const shop = await stockedShop(t, largeFiles())
  const last = new Map<string, Progress>()
  await fetchModel(reference, { ...shop.options, onProgress: (progress) => last.set(progress.phase, progress) })
  for (const phase of ["download", "verify"]) assert.equal(last.get(phase)?.done, last.get(phase)?.total)
  assert.equal(
    last.get("verify")?.total,
    Object.values(shop.files).reduce((sum, { length }) => sum + length, 0),
  )
})

test("publish refused: a stranger's key, before anything is sent", async (t) => {
  const shop = await openShop(t)
  writeFiles(shop.source, smallFiles())
  const envelope = await signFolder(shop.source, [ed25519Signer()])
  await assert.rejects(publishModel(shop.source, envelope, shop.options), { code: "SIGNER_UNTRUSTED" })
})
const changes: Record<string, [change: (path: string) => void, codes: string[]]> = {
  "was changed": [(path) => writeFileSync(path, flipByte(readFileSync(path))), ["DIGEST_MISMATCH"]],
  shrank: [(path) => truncateSync(path, 10), ["DIGEST_MISMATCH", "FILE_CHANGED"]],
  grew: [(path) => writeFileSync(path, "x".repeat(80_000)), ["DIGEST_MISMATCH", "FILE_CHANGED"]],
  "was emptied": [(path) => truncateSync(path, 0), ["DIGEST_MISMATCH", "FILE_CHANGED"]],
  "is gone": [(path) => rmSync(path), ["NOT_FOUND", "FILE_CHANGED"]],
}
for (const [how, [change, codes]] of sample(Object.entries(changes), 2)) {
  test(`publish refused: a file that ${how} since it was signed`, async (t) => {
    const shop = await openShop(t)
    writeFiles(shop.source, smallFiles())
    const envelope = await signFolder(shop.source, [shop.world.signer])
    change(join(shop.source, "weights/shard1.bin"))
    await assert.rejects(publishModel(shop.source, envelope, shop.options), ({ code }: { code: string }) =>
      codes.includes(code),
    )
    await assert.rejects(showModel(reference, shop.options), { code: "NOT_FOUND" })
  })
}

const missing = {
  "another version": `${model}@1.0.1`,
  "another model": "acme/other@1.0.0",
  "another digest": `${model}@sha256:${"0".repeat(64)}`,
}
for (const [why, asked] of Object.entries(missing)) {
  test(`fetch refused: ${why} is not there`, async (t) => {
    const shop = await stockedShop(t)
    await assert.rejects(fetchModel(asked, shop.options), { code: "NOT_FOUND" })
  })
}
test("fetch refused: the digest of another model's manifest", async (t) => {
  const shop = await stockedShop(t)
  const { manifest } = await publishFiles(shop, smallFiles(), { model: "acme/other" })
  await assert.rejects(fetchModel(`${model}@sha256:${manifest.digest}`, shop.options), { code: "SUBJECT_MISMATCH" })
})
for (const [asked, code] of [
  ["acme/mnist", "USAGE"],
  ["acme/mnist:prod", "NEEDS_LOG"],
  ["acme/mnist@^1", "NEEDS_LOG"],
  ["../x@1.0.0", "MANIFEST_INVALID"],
]) {
  test(`fetch refused: ${asked}`, async (t) => {
    const shop = await openShop(t)
    await assert.rejects(fetchModel(asked ?? "", shop.options), { code })
  })
}

const targets: Record<string, (target: string) => void> = {
  "a file": (target) => writeFileSync(target, "x"),
  "a folder with a file": (target) => {
    mkdirSync(target)
    writeFileSync(join(target, "mine"), "x")
  },
  "a link to a folder with a file": (target) => {
    mkdirSync(`${target}-real`)
    writeFileSync(join(`${target}-real`, "mine"), "x")
    symlinkSync(`${target}-real`, target)
  },
}
for (const [what, make] of sample(Object.entries(targets), 2)) {
  test(`pull refused: the target is ${what}; nothing of it is touched`, async (t) => {
    const shop = await stockedShop(t)
    const target = join(shop.folder, "target")
    make(target)
    const before = tree(shop.folder).filter((name) => name.startsWith("target"))
    await assert.rejects(pullModel(reference, target, shop.options), { code: "TARGET_EXISTS" })
    assert.deepEqual(
      tree(shop.folder).filter((name) => name.startsWith("target")),
      before,
    )
  })
}
test("pull: an empty folder is filled, missing parents are made", async (t) => {
  const shop = await stockedShop(t)
  const empty = join(shop.folder, "empty")
  mkdirSync(empty)
  await pullModel(reference, empty, shop.options)
  await pullModel(reference, join(shop.folder, "a/b/c"), shop.options)
  assert.deepEqual(await hashFolder(empty), await hashFolder(join(shop.folder, "a/b/c")))
})

test("trust: by pin, the root is asked of the registry; another pin is refused", async (t) => {
  const shop = await stockedShop(t)
  const { current } = await import("@weighlock/client").then(
    async ({ readTrust }) => (await readTrust(shop.world.trust)) ?? assert.fail(),
  )
  await fetchModel(reference, { ...shop.options, trust: `sha256:${current.digest}` })
  await assert.rejects(fetchModel(reference, { ...shop.options, trust: `sha256:${"0".repeat(64)}` }), {
    code: "TRUST_PIN_MISMATCH",
  })
})
test("trust refused: no such file, garbage, a folder", async (t) => {
  const shop = await openShop(t)
  const garbage = join(shop.folder, "garbage")
  writeFileSync(garbage, "{}")
  await assert.rejects(fetchModel(reference, { ...shop.options, trust: join(shop.folder, "absent") }), {
    code: "TRUST_UNREADABLE",
  })
  await assert.rejects(fetchModel(reference, { ...shop.options, trust: shop.folder }), { code: "TRUST_UNREADABLE" })
  await assert.rejects(fetchModel(reference, { ...shop.options, trust: garbage }), { code: "MANIFEST_INVALID" })
  for (const endless of ["/dev/zero", "/dev/urandom"])
    await assert.rejects(fetchModel(reference, { ...shop.options, trust: endless }), { code: "TOO_LARGE" })
  await assert.rejects(fetchModel(reference, { ...shop.options, trust: `sha256:${"A".repeat(64)}` }), {
    code: "USAGE",
  })
  for (const pin of ["sha256:zz", "sha256:", `sha256:${"0".repeat(63)}`])
    await assert.rejects(fetchModel(reference, { ...shop.options, trust: pin }), { code: "USAGE", hint: /64/ })
})
