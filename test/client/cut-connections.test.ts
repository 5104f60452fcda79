/** Connections that are cut again and again: each goes on where the one before ended, also within a part. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { test } from "node:test"
import { fetchModel, pullModel } from "@weighlock/client"
import { hashFolder } from "@weighlock/manifest/node"
import { made, type Rule } from "../support/hostile.ts"
import { hostileClient, largeFiles, reference, sharedShop } from "../support/published.ts"
import { codeOf } from "../support/temp.ts"

/** A file in parts of 8 MiB, and one of 6 MiB that is asked for whole. */
const shop = await sharedShop({ ...largeFiles(), "weights/one.bin": randomBytes(6 * 2 ** 20) })

/** Every answer with a body ends after so many bytes of it. */
const cutAfter =
  (bytes: number): Rule =>
  ({ answer, isBlob }) =>
    isBlob && answer.body.length > bytes
      ? { ...answer, body: answer.body.subarray(0, bytes), claims: answer.body.length, then: "break" }
      : null

for (const megabytes of [1, 2])
  test(`pull over connections that are cut every ${megabytes} MB`, { timeout: 300_000 }, async (t) => {
    const { options, folder, proxy } = await hostileClient(t, shop)
    proxy.rule = cutAfter(megabytes * 1_000_000)
    const { manifest } = await pullModel(reference, join(folder, "out"), options)
    assert.deepEqual(await hashFolder(join(folder, "out")), manifest.resources)
    const starts = proxy.seen.flatMap(({ headers }) => /^bytes=(\d+)-/.exec(String(headers.range))?.[1] ?? [])
    assert.ok(
      starts.some((start) => Number(start) % 2 ** 20 !== 0),
      "nothing went on within a part",
    )
    const total = Object.values(shop.files).reduce((sum, { length }) => sum + length, 0)
    assert.ok(proxy.sent < 1.2 * total, `${proxy.sent} bytes were sent of ${total}`)
  })

test("connections that bring next to nothing are given up", { timeout: 300_000 }, async (t) => {
  const { options, proxy } = await hostileClient(t, shop)
  proxy.rule = cutAfter(1000)
  assert.equal(await codeOf(() => fetchModel(reference, options)), "UNAVAILABLE")
})

test("one that knows no ranges for the rest of a file is asked for all of it", { timeout: 300_000 }, async (t) => {
  const { options, proxy } = await hostileClient(t, shop)
  const whole = shop.files["weights/one.bin"] ?? assert.fail()
  proxy.rule = (exchange) => {
    const { answer, headers, isBlob, count } = exchange
    if (!isBlob || !(answer.body.length === whole.length || String(headers.range).endsWith(`-${whole.length - 1}`)))
      return null
    if (count === 1) return cutAfter(3_000_000)(exchange)
    return headers.range === undefined ? null : made(200, whole)
  }
  const { files } = await fetchModel(reference, options)
  assert.ok(whole.equals(files.get("weights/one.bin")?.bytes ?? new Uint8Array(0)))
})

test("all of a part that comes without an end is all of it", { timeout: 300_000 }, async (t) => {
  const { options, proxy } = await hostileClient(t, shop)
  proxy.rule = ({ answer, isBlob, count, headers }) =>
    isBlob && headers.range !== undefined && count <= 3
      ? { ...answer, claims: answer.body.length + 1, then: "break" }
      : null
  const code = await codeOf(() => fetchModel(reference, options))
  assert.equal(code, "none")
})
